package translate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/internal/translate"
)

// TestServiceRefsAreThoseThatANodeNeeds: each once, by name; what only the director needs is not
// read on other nodes.
func TestServiceRefsAreThoseThatANodeNeeds(t *testing.T) {
	pool := func(name, service string) v1alpha1.ServerPool {
		return v1alpha1.ServerPool{Name: name, ServiceRef: &v1alpha1.ServiceReference{Name: service}}
	}
	use := func(mode v1alpha1.Mode, pool string) v1alpha1.VirtualService {
		return v1alpha1.VirtualService{Mode: mode, ServerPool: pool}
	}
	b := &v1alpha1.TruePACSBalancer{}
	b.Namespace = "imaging"
	b.Spec.ServerPools = []v1alpha1.ServerPool{pool("dr", "z"), pool("nat", "b"), pool("web", "a"), pool("tunnel", "z"), pool("unused", "u"), {Name: "plain"}}
	web := use(v1alpha1.ModeL7SNAT, "plain")
	web.Layer7 = &v1alpha1.Layer7{HTTP: &v1alpha1.HTTPSettings{Routes: []v1alpha1.HTTPRoute{{ServerPool: "web"}}}}
	b.Spec.VirtualServices = []v1alpha1.VirtualService{
		use(v1alpha1.ModeL4DR, "dr"), use(v1alpha1.ModeL4NAT, "nat"), use(v1alpha1.ModeL4Tunnel, "tunnel"), use(v1alpha1.ModeL4SNAT, "nowhere"), web,
	}
	names := func(list ...string) (out []types.NamespacedName) {
		for _, n := range list {
			out = append(out, types.NamespacedName{Namespace: "imaging", Name: n})
		}
		return out
	}
	if diff := cmp.Diff(names("a", "b", "z"), translate.ServiceRefs(b, true)); diff != "" {
		t.Errorf("on the director: %s", diff)
	}
	if diff := cmp.Diff(names("z"), translate.ServiceRefs(b, false)); diff != "" {
		t.Errorf("elsewhere: %s", diff)
	}
}
