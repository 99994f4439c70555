package controllers_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/controllers"
	"github.com/truepacs/balancer/controllers/installation"
	"github.com/truepacs/balancer/internal/render"
)

func daemonSet(ctx context.Context, name string) (*appsv1.DaemonSet, error) {
	ds := &appsv1.DaemonSet{}
	return ds, cluster.admin.Get(ctx, client.ObjectKey{Namespace: home, Name: name}, ds)
}

// awaitDaemonSet waits until a DaemonSet exists and suits check.
func awaitDaemonSet(t *testing.T, what, name string, check func(*appsv1.DaemonSet) bool) *appsv1.DaemonSet {
	t.Helper()
	var ds *appsv1.DaemonSet
	eventually(t, what, func(ctx context.Context) (err error) {
		if ds, err = daemonSet(ctx, name); err == nil && !check(ds) {
			err = fmt.Errorf("template is %+v", ds.Spec.Template)
		}
		return err
	})
	return ds
}

func image(want string) func(*appsv1.DaemonSet) bool {
	return func(ds *appsv1.DaemonSet) bool { return ds.Spec.Template.Spec.Containers[0].Image == want }
}

func TestDaemonSetsAreAppliedAndKept(t *testing.T) {
	operator(t)
	for _, name := range []string{render.AgentName, render.ProxyName} {
		ds := awaitDaemonSet(t, "a DaemonSet at the start", name, image("truepacs/balancer:v1"))
		var account corev1.ServiceAccount
		must(t, cluster.admin.Get(t.Context(), client.ObjectKey{Namespace: home, Name: name}, &account))
		if len(ds.OwnerReferences) != 1 || ds.OwnerReferences[0].UID != account.UID || ds.OwnerReferences[0].Kind != "ServiceAccount" {
			t.Errorf("%s is owned by %+v", name, ds.OwnerReferences)
		}

		changed := ds.DeepCopy()
		changed.Spec.Template.Spec.Containers[0].Image = "evil/image:v1"
		must(t, cluster.admin.Patch(t.Context(), changed, client.MergeFrom(ds)))
		awaitDaemonSet(t, "repair of a change by hand", name, image("truepacs/balancer:v1"))

		must(t, cluster.admin.Delete(t.Context(), ds))
		awaitDaemonSet(t, "a new DaemonSet after a deletion by hand", name, func(n *appsv1.DaemonSet) bool { return n.UID != ds.UID })
	}
}

func TestSettingsFileIsFollowed(t *testing.T) {
	settings := operator(t)
	ds := awaitDaemonSet(t, "a DaemonSet at the start", render.AgentName, image("truepacs/balancer:v1"))

	writeSettings(t, settings, "image: truepacs/balancer:v2\nimagePulPolicy: Always\n")
	told(t, home, render.SettingsName, "SettingsRefused")
	kept, err := daemonSet(t.Context(), render.AgentName)
	must(t, err)
	if kept.Generation != ds.Generation {
		t.Errorf("refused settings changed the DaemonSet:\n%s", cmp.Diff(ds.Spec, kept.Spec))
	}

	writeSettings(t, settings, "image: truepacs/balancer:v2\nagent: {tolerations: [{effect: Sometimes, operator: Exists}]}\n")
	eventually(t, "an event with the API server's refusal", func(ctx context.Context) error {
		return noteContains(ctx, home, render.SettingsName, "the API server refuses DaemonSet truepacs-agent")
	})

	writeSettings(t, settings, "image: truepacs/balancer:v2\nproxy: {podLabels: {site: main}}\n")
	awaitDaemonSet(t, "the new image", render.AgentName, image("truepacs/balancer:v2"))
	awaitDaemonSet(t, "the new label", render.ProxyName, func(ds *appsv1.DaemonSet) bool {
		return ds.Spec.Template.Labels["site"] == "main"
	})
	writeSettings(t, settings, "image: truepacs/balancer:v2\n")
	awaitDaemonSet(t, "the label's removal", render.ProxyName, func(ds *appsv1.DaemonSet) bool {
		return ds.Spec.Template.Labels["site"] == ""
	})
}

// TestNoEditOfABalancerRollsADirector creates, changes and deletes balancers and looks at the
// DaemonSets' generation and content.
func TestNoEditOfABalancerRollsADirector(t *testing.T) {
	operator(t)
	node(t, "node-1", director())
	before := []*appsv1.DaemonSet{
		awaitDaemonSet(t, "agents", render.AgentName, image("truepacs/balancer:v1")),
		awaitDaemonSet(t, "proxies", render.ProxyName, image("truepacs/balancer:v1")),
	}
	b := create(t, namespace(t), "radiology")
	expect(t, b, v1alpha1.ConditionReady, isUnknown, v1alpha1.ReasonPending)
	for _, change := range edits() {
		got, err := fetch(t.Context(), b)
		must(t, err)
		change(&got.Spec)
		must(t, cluster.admin.Update(t.Context(), got))
		eventually(t, "a visit to the changed balancer", func(ctx context.Context) error {
			now, err := fetch(ctx, b)
			if err == nil && now.Status.ObservedGeneration != now.Generation {
				err = fmt.Errorf("generation %d is not observed", now.Generation)
			}
			return err
		})
	}
	must(t, cluster.admin.Delete(t.Context(), b))
	for _, old := range before {
		now, err := daemonSet(t.Context(), old.Name)
		must(t, err)
		if diff := cmp.Diff(old, now); diff != "" {
			t.Errorf("%s changed:\n%s", old.Name, diff)
		}
	}
}

func edits() []func(*v1alpha1.TruePACSBalancerSpec) {
	return []func(*v1alpha1.TruePACSBalancerSpec){
		func(s *v1alpha1.TruePACSBalancerSpec) { s.VirtualIPs[0].Address = "192.0.2.101" },
		func(s *v1alpha1.TruePACSBalancerSpec) { s.VirtualIPs[0].Interfaces = []string{"bond0"} },
		func(s *v1alpha1.TruePACSBalancerSpec) {
			s.Directors = &v1alpha1.Directors{NodeSelector: map[string]string{"zone": "a"}}
		},
		func(s *v1alpha1.TruePACSBalancerSpec) { s.VirtualServices[0].Ports = []int32{104, 443} },
		func(s *v1alpha1.TruePACSBalancerSpec) {
			s.VirtualServices[0].Mode = v1alpha1.ModeL7SNAT
			s.VirtualServices[0].Layer7 = &v1alpha1.Layer7{Application: v1alpha1.ApplicationHTTP,
				TLS: &v1alpha1.ListenerTLS{CertificateRefs: []v1alpha1.SecretReference{{Name: "x"}}}}
		},
		func(s *v1alpha1.TruePACSBalancerSpec) { s.ServerPools[0].Servers[0].Address = "198.51.100.1" },
	}
}

func noteContains(ctx context.Context, ns, about, text string) error {
	var list corev1.EventList
	if err := cluster.admin.List(ctx, &list, client.InNamespace(ns)); err != nil {
		return err
	}
	for _, e := range list.Items {
		if e.InvolvedObject.Name == about && strings.Contains(e.Message, text) {
			return nil
		}
	}
	return fmt.Errorf("none of %d events on %s says %q", len(list.Items), about, text)
}

// stranger makes another installation's agents in a namespace of its own.
func stranger(t *testing.T) (ns string) {
	t.Helper()
	ns = namespace(t)
	labels := map[string]string{render.NameLabel: render.AgentName}
	ds := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: render.AgentName, Labels: labels},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", Image: "truepacs/balancer:v0"}}},
			},
		},
	}
	must(t, cluster.admin.Create(t.Context(), ds))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := cluster.admin.Delete(ctx, ds); err != nil {
			t.Errorf("remove the other installation: %v", err)
		}
	})
	return ns
}

func TestASecondInstallationRefusesToStart(t *testing.T) {
	other := stranger(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := controllers.Run(ctx, controllers.Options{
		Namespace: home, SettingsPath: "/nowhere", Config: configOf(t, "truepacs-operator"), SkipNameCheck: true,
	})
	if !errors.Is(err, installation.ErrSecondInstallation) || !strings.Contains(err.Error(), "namespace "+other) {
		t.Fatalf("got %v", err)
	}
	if _, err := daemonSet(ctx, render.AgentName); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("it applied its DaemonSets all the same: %v", err)
	}
}

// TestTheElderInstallationGoesOn: one that comes later disturbs the first in nothing.
func TestTheElderInstallationGoesOn(t *testing.T) {
	settings := operator(t)
	awaitDaemonSet(t, "agents", render.AgentName, image("truepacs/balancer:v1"))
	time.Sleep(1100 * time.Millisecond) // creationTimestamp counts seconds
	stranger(t)
	writeSettings(t, settings, "image: truepacs/balancer:v2\n")
	awaitDaemonSet(t, "the new image", render.AgentName, image("truepacs/balancer:v2"))
}

func gone(ctx context.Context) error {
	for _, name := range []string{render.AgentName, render.ProxyName} {
		if _, err := daemonSet(ctx, name); err == nil {
			return fmt.Errorf("DaemonSet %s is there", name)
		} else if client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

func TestUninstallWaitsForTheLivingAndNotForTheDead(t *testing.T) {
	operator(t)
	awaitDaemonSet(t, "agents", render.AgentName, image("truepacs/balancer:v1"))
	dead, live := newAgent(t, "node-dead"), newAgent(t, "node-live")
	dead.lease = time.Second
	dead.renew(t)
	live.renew(t)
	dead.describe(t, false)
	live.describe(t, false)

	ended := make(chan error, 1)
	hook := clientOf(t, "truepacs-uninstall")
	go func() { ended <- installation.Uninstall(t.Context(), hook, home, time.Hour) }()
	eventually(t, "the mark that asks for release", func(ctx context.Context) error {
		return clientOf(t, "truepacs-agent").Get(ctx, client.ObjectKey{Namespace: home, Name: render.ReleaseName}, &corev1.ConfigMap{})
	})
	select {
	case err := <-ended:
		t.Fatalf("uninstall did not wait for the living agent: %v", err)
	case <-time.After(3 * time.Second):
	}
	if gone(t.Context()) == nil {
		t.Fatal("the DaemonSets were removed while an agent still holds something")
	}

	live.describe(t, true)
	eventually(t, "the removal of the DaemonSets", gone)
	must(t, <-ended)
	told(t, home, render.ReleaseName, "Released")

	var mark corev1.ConfigMap
	must(t, cluster.admin.Get(t.Context(), client.ObjectKey{Namespace: home, Name: render.ReleaseName}, &mark))
	if len(mark.OwnerReferences) != 1 || mark.OwnerReferences[0].Name != render.AgentName {
		t.Errorf("the mark would outlive the installation: %+v", mark.OwnerReferences)
	}
	must(t, cluster.admin.Delete(t.Context(), &mark))
	awaitDaemonSet(t, "agents again, once nobody asks for release", render.AgentName, image("truepacs/balancer:v1"))
}

func TestUninstallEndsThoughAnAgentHangs(t *testing.T) {
	operator(t)
	awaitDaemonSet(t, "agents", render.AgentName, image("truepacs/balancer:v1"))
	hanging := newAgent(t, "node-hangs")
	hanging.renew(t)
	must(t, installation.Uninstall(t.Context(), cluster.admin, home, 2*time.Second))
	must(t, gone(t.Context()))
	told(t, home, render.ReleaseName, "ReleaseTimeout")
	must(t, noteContains(t.Context(), home, render.ReleaseName, "node-hangs did not let go"))
}

func TestUninstallOfNothing(t *testing.T) {
	must(t, installation.Uninstall(t.Context(), cluster.admin, namespace(t), time.Hour))
}
