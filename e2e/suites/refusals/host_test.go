package refusals

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/testutil/pki"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// host is a world whose director runs `truepacs run`, with good services under traffic.
type host struct {
	*world
	pids string
}

// newHost starts the director; it has a default gateway and an interface of a VLAN.
func newHost(t *testing.T, transfer int64) *host {
	t.Helper()
	h := &host{world: newWorld(t)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("director printed:\n%s", tail(h.Output(h.Director), 6000))
		}
	})
	h.onDirector(t, "ip", "route", "add", "default", "via", gateway)
	h.onDirector(t, "ip", "link", "add", "link", "eth0", "name", "enp0s31f6.100", "type", "vlan", "id", "100")
	h.onDirector(t, "ip", "link", "set", "enp0s31f6.100", "up")
	h.put(t, "flows.yaml", goodManifest())
	secret, _, err := site.Secret()
	suite.Must(t, err)
	h.put(t, "secrets.yaml", secret+"---\n"+strings.Replace(secret, "name: viewer-tls", "name: a", 1)+"---\n"+authorities(t))
	suite.Must(t, h.StartAgent(t.Context(), h.Director))
	h.await(t, "the good services", func(o overview) error { return o.programmed("flows") })
	suite.Must(t, site.Until(limit(t), "servers", func() error { return h.bothWork(t) }))
	h.pids = h.onDirector(t, "pidof", "truepacs")
	if n := len(strings.Fields(h.pids)); n != 2 {
		t.Fatalf("%d processes of the product, want agent and proxy: %s", n, h.pids)
	}
	h.startFlows(t, transfer)
	return h
}

// authorities is the Secret that the bad specs call ca: an authority of client certificates with its revocation list.
func authorities(t *testing.T) string {
	t.Helper()
	a := pki.NewAuthority(t, "Hospital Root")
	lists := a.CRLOf(t, x509.RevocationList{ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(24 * time.Hour)})
	text, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "ca"}, "type": "Opaque",
		"stringData": map[string]string{"ca.crt": string(a.PEM()), "ca.crl": string(lists)},
	})
	suite.Must(t, err)
	return string(text) + "\n"
}

func tail(s string, most int) string { return s[max(0, len(s)-most):] }

func (h *host) put(t *testing.T, file, text string) {
	t.Helper()
	suite.Must(t, h.Director.Put(limit(t), site.ManifestDir+"/"+file, strings.NewReader(text), 0o600))
}

// remove removes files that match a pattern.
func (h *host) remove(t *testing.T, pattern string) {
	t.Helper()
	h.onDirector(t, "sh", "-c", "rm -f "+site.ManifestDir+"/"+pattern)
}

// unharmed fails if a good service suffered or a process of the product ended.
func (h *host) unharmed(t *testing.T, when string) {
	t.Helper()
	h.goodServicesWork(t, when)
	select {
	case <-h.Agent(h.Director).Done():
		t.Fatalf("%s: truepacs run ended", when)
	default:
	}
	if pids := h.onDirector(t, "pidof", "truepacs"); pids != h.pids {
		t.Fatalf("%s: the processes are %s, they were %s", when, pids, h.pids)
	}
}

// overview is what `truepacs status -o json` prints.
type overview struct {
	Items    []v1alpha1.TruePACSBalancer `json:"items"`
	Problems []string                    `json:"problems"`
}

func (h *host) overview(ctx context.Context) (overview, error) {
	var o overview
	text, err := h.Truepacs(ctx, h.Director, "status", "-o", "json")
	if err == nil {
		err = json.Unmarshal([]byte(text), &o)
	}
	return o, err
}

// await asks for the status until judge is content with it.
func (h *host) await(t *testing.T, what string, judge func(overview) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	last := errors.New("not judged yet")
	err := site.Until(ctx, what, func() error {
		o, err := h.overview(ctx)
		if err != nil {
			return err
		}
		last = judge(o)
		return last
	})
	if err != nil {
		t.Fatalf("%s: %v\nlast: %v", what, err, last)
	}
}

// find returns a balancer; nil: it is not shown.
func (o overview) find(name string) *v1alpha1.TruePACSBalancer {
	for i := range o.Items {
		if o.Items[i].Name == name {
			return &o.Items[i]
		}
	}
	return nil
}

// refusals are the messages that name a file: what is wrong with the manifest in it.
func (o overview) refusals(file string) []string {
	var out []string
	for _, p := range o.Problems {
		if strings.HasPrefix(p, file) {
			out = append(out, p)
		}
	}
	for i := range o.Items {
		c := meta.FindStatusCondition(o.Items[i].Status.Conditions, v1alpha1.ConditionAccepted)
		if c != nil && c.Status == metav1.ConditionFalse && strings.Contains(c.Message, file) {
			out = append(out, c.Message)
		}
	}
	return out
}

// programmed returns nil if a balancer is accepted and programmed, else why not.
func (o overview) programmed(name string) error {
	return o.holds(name, v1alpha1.ConditionAccepted, v1alpha1.ConditionResolvedRefs, v1alpha1.ConditionProgrammed)
}

// holds returns nil if conditions of a balancer are True, else what they say.
func (o overview) holds(name string, kinds ...string) error {
	b := o.find(name)
	if b == nil {
		return fmt.Errorf("%s is not shown", name)
	}
	for _, kind := range kinds {
		c := meta.FindStatusCondition(b.Status.Conditions, kind)
		if c == nil || c.Status != metav1.ConditionTrue {
			return fmt.Errorf("%s: %s is %+v", name, kind, c)
		}
	}
	return nil
}
