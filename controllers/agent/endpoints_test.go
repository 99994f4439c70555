package agent

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	"github.com/truepacs/balancer/internal/translate"
)

func pod(name string, addresses ...string) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{Addresses: addresses, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: name}}
}

func with(e discoveryv1.Endpoint, ready, serving, terminating *bool) discoveryv1.Endpoint {
	e.Conditions = discoveryv1.EndpointConditions{Ready: ready, Serving: serving, Terminating: terminating}
	return e
}

func TestEndpointsOf(t *testing.T) {
	yes, no := ptr.To(true), ptr.To(false)
	addr := netip.MustParseAddr
	ports := []discoveryv1.EndpointPort{{Name: ptr.To("dicom"), Port: ptr.To(int32(11112))}, {Name: ptr.To("open")},
		{Name: ptr.To("sctp"), Port: ptr.To(int32(9)), Protocol: ptr.To(corev1.ProtocolSCTP)}}
	numbers := map[string]uint16{"dicom": 11112}
	for name, tc := range map[string]struct {
		slices []*discoveryv1.EndpointSlice
		want   []translate.ServiceEndpoint
	}{
		"no slice":       {nil, nil},
		"empty slice":    {[]*discoveryv1.EndpointSlice{{Ports: ports}}, []translate.ServiceEndpoint{}},
		"nothing known":  {one(ports, pod("a", "10.0.0.1")), []translate.ServiceEndpoint{{Name: "a", Address: addr("10.0.0.1"), Ports: numbers, Ready: true, Serving: true}}},
		"not ready":      {one(ports, with(pod("a", "10.0.0.1"), no, nil, nil)), []translate.ServiceEndpoint{{Name: "a", Address: addr("10.0.0.1"), Ports: numbers}}},
		"ends":           {one(ports, with(pod("a", "10.0.0.1"), no, yes, yes)), []translate.ServiceEndpoint{{Name: "a", Address: addr("10.0.0.1"), Ports: numbers, Serving: true, Terminating: true}}},
		"no pod":         {one(ports, discoveryv1.Endpoint{Addresses: []string{"2001:db8::1"}}), []translate.ServiceEndpoint{{Address: addr("2001:db8::1"), Ports: numbers, Ready: true, Serving: true}}},
		"host name":      {one(ports, pod("a", "pacs.example.org")), []translate.ServiceEndpoint{}},
		"unnamed port":   {one([]discoveryv1.EndpointPort{{Port: ptr.To(int32(1))}}, pod("a", "10.0.0.1")), []translate.ServiceEndpoint{{Name: "a", Address: addr("10.0.0.1"), Ports: map[string]uint16{"": 1}, Ready: true, Serving: true}}},
		"a foreign kind": {one(ports, discoveryv1.Endpoint{Addresses: []string{"10.0.0.1"}, TargetRef: &corev1.ObjectReference{Kind: "Node", Name: "n"}}), []translate.ServiceEndpoint{{Address: addr("10.0.0.1"), Ports: numbers, Ready: true, Serving: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := endpointsOf(tc.slices)
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func one(ports []discoveryv1.EndpointPort, e discoveryv1.Endpoint) []*discoveryv1.EndpointSlice {
	return []*discoveryv1.EndpointSlice{{Ports: ports, Endpoints: []discoveryv1.Endpoint{e}}}
}
