package translate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/internal/testutil/badspecs"
	"github.com/truepacs/balancer/internal/translate"
)

// twoDoors is a pool that two services use on a virtual IP each: 104 on main, 2762 on second.
func twoDoors(checks, first, second string) badspecs.Block {
	return badspecs.Parse(`
apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata: {name: radiology, namespace: default}
spec:
  virtualIPs:
  - {name: main, address: 192.0.2.100}
  - {name: second, address: 192.0.2.101}
  serverPools:
  - name: archive
    servers: [{name: pacs-a, address: 192.0.2.11}]
    healthChecks: [` + checks + `]
  virtualServices:
  - {name: dicom, virtualIPs: [main], mode: L4DR, ` + first + `, serverPool: archive}
  - {name: secure, virtualIPs: [second], mode: L4DR, ` + second + `, serverPool: archive}
`)
}

// TestChecksThroughVirtualIPsGoToDeclaredPorts: what is not declared on a virtual IP is dropped on
// the servers, so that a check of it would fail for ever.
func TestChecksThroughVirtualIPsGoToDeclaredPorts(t *testing.T) {
	for name, tc := range map[string]struct {
		checks, first, second string
		want                  []string // virtual IP and port of the checks
		refused               string   // in the condition Accepted
	}{
		"each its own": {"{type: TCP, via: VirtualIP}", "ports: [104]", "ports: [2762]",
			[]string{"192.0.2.100 104", "192.0.2.101 2762"}, ""},
		"a range": {"{type: TCP, via: VirtualIP}", "ports: [104]", "portRanges: [{first: 3000, last: 3010}]",
			[]string{"192.0.2.100 104", "192.0.2.101 3000"}, ""},
		"a port of both": {"{type: TCP, via: VirtualIP, port: 11112}", "ports: [104, 11112]", "portRanges: [{first: 11000, last: 12000}]",
			[]string{"192.0.2.100 11112", "192.0.2.101 11112"}, ""},
		"a port of one": {"{type: TCP, via: VirtualIP, port: 104}", "ports: [104]", "ports: [2762]",
			[]string{"192.0.2.100 104"}, "which no TCP service of the pool has on virtual IP second"},
		"a port of none": {"{type: TCP, via: VirtualIP, port: 8042}", "ports: [104]", "ports: [2762]", nil, "goes to port 8042"},
		"UDP alone": {"{type: TCP, via: VirtualIP}", "ports: [104]", "ports: [514], protocol: UDP",
			[]string{"192.0.2.100 104"}, "service secure has none on virtual IP second"},
	} {
		t.Run(name, func(t *testing.T) {
			b := typed(t, twoDoors(tc.checks, tc.first, tc.second))
			result := translate.Translate(sampleInput(t, b, nil))
			var got []string
			for _, target := range result.Node.Targets {
				for _, c := range target.Checks {
					if c.Via == model.ViaVirtualIP {
						got = append(got, fmt.Sprint(c.VirtualIP, " ", c.Port))
					}
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("checks: %s", diff)
			}
			c := acceptedOf(result, b)
			if (tc.refused == "") != (c.Status == "True") || !strings.Contains(c.Message, tc.refused) {
				t.Errorf("%+v", c)
			}
		})
	}
}

// pods translates a balancer whose pool is a Service.
func pods(t *testing.T, layer4 string, endpoints ...translate.ServiceEndpoint) (translate.Result, *v1alpha1.TruePACSBalancer) {
	t.Helper()
	b := typed(t, badspecs.Parse(`
apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata: {name: radiology, namespace: default}
spec:
  virtualIPs: [{name: main, address: 192.0.2.100}]
  serverPools: [{name: archive, serviceRef: {name: archive}}]
  virtualServices:
  - {name: dicom, virtualIPs: [main], mode: L4SNAT, ports: [104], serverPool: archive, layer4: {`+layer4+`}}
`))
	in := sampleInput(t, b, nil)
	in.Node.Mode = translate.Cluster
	in.Nodes = []translate.NodeInfo{{Name: in.Node.Name, Labels: map[string]string{v1alpha1.DirectorLabel: "true"}}}
	in.Endpoints = byNamespacedName(map[string][]translate.ServiceEndpoint{"default/archive": endpoints})
	result := translate.Translate(in)
	slices.Reverse(endpoints)
	if diff := cmp.Diff(dump(t, result), dump(t, translate.Translate(in))); diff != "" {
		t.Errorf("the order of endpoints matters: %s", diff)
	}
	return result, b
}

// TestOfTwoEndpointsOfOneAddressTheReadyOneCounts: an address that a pod has left and another one
// has got is in the slices twice for a while.
func TestOfTwoEndpointsOfOneAddressTheReadyOneCounts(t *testing.T) {
	endpoint := func(name string, change func(*translate.ServiceEndpoint)) translate.ServiceEndpoint {
		e := translate.ServiceEndpoint{Name: name, Address: rip, Ports: map[string]uint16{"": 11112}}
		change(&e)
		return e
	}
	ready := func(e *translate.ServiceEndpoint) { e.Ready = true }
	ends := func(e *translate.ServiceEndpoint) { e.Serving, e.Terminating = true, true }
	gone := func(e *translate.ServiceEndpoint) { e.Terminating = true }
	for name, tc := range map[string]struct {
		endpoints []translate.ServiceEndpoint
		want      []string
	}{
		"gone before ready":   {[]translate.ServiceEndpoint{endpoint("a", gone), endpoint("b", ready)}, []string{"b"}},
		"ending before ready": {[]translate.ServiceEndpoint{endpoint("a", ends), endpoint("b", ready)}, []string{"b"}},
		"gone before ending":  {[]translate.ServiceEndpoint{endpoint("a", gone), endpoint("b", ends)}, []string{"b Drain"}},
		"two ready":           {[]translate.ServiceEndpoint{endpoint("b", ready), endpoint("a", ready)}, []string{"a"}},
		"none":                {[]translate.ServiceEndpoint{endpoint("a", gone), endpoint("b", gone)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			result, _ := pods(t, "", tc.endpoints...)
			var got []string
			for _, s := range result.Node.Services[0].Servers {
				got = append(got, strings.TrimSpace(s.Name+" "+string(s.State)))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestFailoverAmongPods: pods have no weights, so that their names rank them; a pod that ends or
// comes leaves the rank of those before it.
func TestFailoverAmongPods(t *testing.T) {
	var endpoints []translate.ServiceEndpoint
	addr := rip
	for i := range 4 {
		addr = addr.Next()
		endpoints = append(endpoints, translate.ServiceEndpoint{
			Name: fmt.Sprint("archive-", i), Address: addr, Ports: map[string]uint16{"": 11112}, Ready: i != 1, Serving: true, Terminating: i == 1,
		})
	}
	result, b := pods(t, "scheduler: WeightedFailover", endpoints...)
	if c := acceptedOf(result, b); c.Status != "True" {
		t.Fatalf("refused: %+v", c)
	}
	last := 1 << 16
	for _, s := range result.Node.Services[0].Servers { // by address, as they are named
		if s.Weight >= last || s.Weight < 1 {
			t.Errorf("%s has weight %d after %d", s.Name, s.Weight, last)
		}
		last = s.Weight
	}
	if n := len(result.Node.Services[0].Servers); n != 4 {
		t.Errorf("%d servers", n)
	}
}
