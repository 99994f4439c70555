package balancer

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/google/go-cmp/cmp"
)

func TestRangesOfPools(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.96/28": "192.0.2.96 192.0.2.111", "192.0.2.100/24": "192.0.2.0 192.0.2.255", "192.0.2.7/32": "192.0.2.7 192.0.2.7",
		"192.0.2.5 - 192.0.2.9": "192.0.2.5 192.0.2.9", "2001:db8::/126": "2001:db8:: 2001:db8::3", "2001:db8::1-2001:db8::9": "2001:db8::1 2001:db8::9",
		"192.0.2.9-192.0.2.5": "", "192.0.2.9": "", "192.0.2.9-2001:db8::1": "", "": "", "x/24": "", "-": "",
	} {
		first, last, ok := parseRange(text)
		got := ""
		if ok {
			got = first.String() + " " + last.String()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	for _, text := range []string{"192.0.2.96/28", "192.0.2.5-192.0.2.9", "2001:db8::/32", "::/0", "-", "fe80::1%eth0-fe80::2%eth0"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		first, last, ok := parseRange(text)
		if ok && (first.BitLen() != last.BitLen() || first.Compare(last) > 0) {
			t.Errorf("%q: %s to %s", text, first, last)
		}
	})
}

func TestPoolsThatAssignByThemselves(t *testing.T) {
	pool := func(spec map[string]any) []poolRange {
		return rangesOf(&unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "pacs", "namespace": "metallb-system"}, "spec": spec}})
	}
	addresses := []any{"192.0.2.96/28", "nonsense"}
	for name, tc := range map[string]struct {
		spec map[string]any
		want int
	}{
		"by itself": {map[string]any{"addresses": addresses}, 1}, "says so": {map[string]any{"addresses": addresses, "autoAssign": true}, 1},
		"only when asked": {map[string]any{"addresses": addresses, "autoAssign": false}, 0}, "odd": {map[string]any{"addresses": "all"}, 0}, "empty": {nil, 0},
	} {
		if got := pool(tc.spec); len(got) != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	p := &Pools{known: pool(map[string]any{"addresses": addresses})}
	for text, want := range map[string]bool{"192.0.2.96": true, "192.0.2.111": true, "192.0.2.112": false, "2001:db8::1": false} {
		if _, got := p.find(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestTrimmedServiceKeepsItsAddresses(t *testing.T) {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"note": "long", "kube-vip.io/loadbalancerIPs": "2001:DB8::1"}},
		Spec: corev1.ServiceSpec{
			ClusterIP: "None", ClusterIPs: []string{"10.96.0.9", "fd00::9"}, ExternalIPs: []string{"192.0.2.100", "::ffff:192.0.2.101"},
			Selector: map[string]string{"app": "x"}, Ports: []corev1.ServicePort{{Port: 80}},
		},
		Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "192.0.2.102"}, {Hostname: "lb"}}}},
	}
	want := addressesOf(s)
	TrimService(s)
	if diff := cmp.Diff([]string{"10.96.0.9", "192.0.2.100", "192.0.2.101", "192.0.2.102", "2001:db8::1", "fd00::9"}, want); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, addressesOf(s)); diff != "" || s.Spec.Ports != nil || s.Labels != nil || len(s.Annotations) != 1 {
		t.Errorf("after Trim: %+v\n%s", s, diff)
	}
}
