package controllers_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/truepacs/balancer/controllers"
	agentrole "github.com/truepacs/balancer/controllers/agent"
	"github.com/truepacs/balancer/dataplane/testutil/loopback"
	"github.com/truepacs/balancer/internal/render"
)

func get(ctx context.Context, url, token string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // self-signed, on loopback
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return 0, "", err
	}
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), errors.Join(err, response.Body.Close())
}

func answers(t *testing.T, url, token string, want int) string {
	t.Helper()
	var body string
	eventually(t, fmt.Sprintf("status %d of %s", want, url), func(ctx context.Context) (err error) {
		var status int
		if status, body, err = get(ctx, url, token); err == nil && status != want {
			err = fmt.Errorf("status %d: %s", status, body)
		}
		return err
	})
	return body
}

func TestHealthTellsRefusedSettings(t *testing.T) {
	address := loopback.Free(t).String()
	settings := operator(t, func(o *controllers.Options) { o.HealthAddr = address })
	answers(t, "http://"+address+"/healthz", "", http.StatusOK)
	answers(t, "http://"+address+"/readyz", "", http.StatusOK)
	writeSettings(t, settings, "image: ''\n")
	answers(t, "http://"+address+"/readyz", "", http.StatusInternalServerError)
	answers(t, "http://"+address+"/healthz", "", http.StatusOK)
}

func TestLeaderElection(t *testing.T) {
	operator(t, func(o *controllers.Options) { o.LeaderElection = true })
	awaitDaemonSet(t, "agents", render.AgentName, image("truepacs/balancer:v1"))
	var lease coordinationv1.Lease
	must(t, cluster.admin.Get(t.Context(), client.ObjectKey{Namespace: home, Name: controllers.Name}, &lease))
	if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
		t.Errorf("nobody leads: %+v", lease.Spec)
	}
}

// token makes a token of a new ServiceAccount in a namespace of its own.
func token(t *testing.T) (token string, subject rbacv1.Subject) {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace(t), Name: "reader"}}
	must(t, cluster.admin.Create(t.Context(), account))
	request := &authenticationv1.TokenRequest{}
	must(t, cluster.admin.SubResource("token").Create(t.Context(), account, request))
	return request.Status.Token, rbacv1.Subject{Kind: "ServiceAccount", Namespace: account.Namespace, Name: account.Name}
}

func TestMetricsNeedPermission(t *testing.T) {
	address := loopback.Free(t).String()
	operator(t, func(o *controllers.Options) { o.MetricsAddr = address })
	url := "https://" + address + "/metrics"
	answers(t, url, "", http.StatusUnauthorized)
	stranger, _ := token(t)
	answers(t, url, stranger, http.StatusForbidden)

	reader, subject := token(t)
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "metrics-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "truepacs-metrics-reader"},
		Subjects:   []rbacv1.Subject{subject},
	}
	must(t, cluster.admin.Create(t.Context(), binding))
	if body := answers(t, url, reader, http.StatusOK); !strings.Contains(body, "controller_runtime_reconcile_total") {
		t.Error("the metrics lack the reconcilers")
	}
}

func TestOptionsSayWhatIsMissing(t *testing.T) {
	err := controllers.Run(t.Context(), controllers.Options{})
	if err == nil || !strings.Contains(err.Error(), "--namespace is empty") || !strings.Contains(err.Error(), "--settings is empty") {
		t.Errorf("got %v", err)
	}
}

// TestAgentUnderstandsItsArguments: the flags the operator writes into the DaemonSet are the
// agent's, and its default marks are those of the agent.
func TestAgentUnderstandsItsArguments(t *testing.T) {
	settings := render.Default()
	settings.Image = "truepacs/balancer:v1"
	sets, err := render.DaemonSets(settings, render.Place{Namespace: home})
	must(t, err)
	flags := pflag.NewFlagSet("agent", pflag.ContinueOnError)
	flags.IntP("verbosity", "v", 0, "of every role")
	o := agentrole.Options{}
	o.AddFlags(flags)
	want := o.MarkRange
	must(t, flags.Parse(sets[0].Spec.Template.Spec.Containers[0].Args[1:]))
	got, err := agentrole.ParseMarks(o.MarkRange)
	must(t, err)
	if preset, err := agentrole.ParseMarks(want); err != nil || got != preset {
		t.Errorf("marks are %+v, the agent's own default is %+v: %v", got, preset, err)
	}
	if o.SysctlDir != render.SysctlDir || o.RunDir != render.RunDir || o.StateDir != render.StateDir {
		t.Errorf("directories: %+v", o)
	}
}
