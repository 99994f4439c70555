package translate_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/internal/testutil/badspecs"
	"github.com/truepacs/balancer/internal/translate"
)

// rivals are two balancers, the first older, that want one address and port, or one port of a server in
// two modes; the second is programmed on lb1 and its status says so.
func rivals(t *testing.T, serverPort bool) (older, younger *v1alpha1.TruePACSBalancer) {
	t.Helper()
	one := func(name, vip, service string, age int) *v1alpha1.TruePACSBalancer {
		b := typed(t, badspecs.Parse(`
apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata: {namespace: default, name: `+name+`, generation: 1}
spec:
  virtualIPs: [{name: main, address: `+vip+`}]
  serverPools: [{name: archive, servers: [{name: pacs-a, address: 192.0.2.11, port: 11112}]}]
  virtualServices: [{name: dicom, virtualIPs: [main], serverPool: archive, ports: [104], `+service+`}]
`))
		b.CreationTimestamp = metav1.NewTime(time.Unix(int64(age), 0))
		return b
	}
	vip, mode := "192.0.2.100", "mode: L4SNAT"
	if serverPort {
		vip, mode = "192.0.2.101", "mode: L7SNAT, layer7: {application: TCP}"
	}
	older, younger = one("older", vip, mode, 1), one("younger", "192.0.2.100", "mode: L4SNAT", 2)
	result := translate.Translate(sampleInput(t, younger, nil))
	for name, r := range result.Balancers {
		if name.Name == younger.Name {
			younger.Status.VirtualServices = []v1alpha1.VirtualServiceStatus{{Name: "dicom", Programmed: r.Services[0].Programmed}}
		}
	}
	return older, younger
}

// TestClaimsStandOfWhicheverGeneration: an edit of a balancer that is programmed gives its port to
// nobody else while its director is on the way to it, and takes nothing that it did not have.
func TestClaimsStandOfWhicheverGeneration(t *testing.T) {
	for name, tc := range map[string]struct {
		serverPort     bool
		edit           func(younger *v1alpha1.TruePACSBalancer)
		older, younger string
	}{
		"a weight": {false, func(b *v1alpha1.TruePACSBalancer) {
			weight := int32(7)
			b.Spec.ServerPools[0].Servers[0].Weight = &weight
		}, "PortConflict", "Accepted"},
		"one port more":   {false, func(b *v1alpha1.TruePACSBalancer) { b.Spec.VirtualServices[0].Ports = []int32{104, 11112} }, "PortConflict", "Accepted"},
		"another port":    {false, func(b *v1alpha1.TruePACSBalancer) { b.Spec.VirtualServices[0].Ports = []int32{105} }, "Accepted", "Accepted"},
		"another address": {false, func(b *v1alpha1.TruePACSBalancer) { b.Spec.VirtualIPs[0].Address = "192.0.2.102" }, "Accepted", "Accepted"},
		"a weight, server's port": {true, func(b *v1alpha1.TruePACSBalancer) {
			weight := int32(7)
			b.Spec.ServerPools[0].Servers[0].Weight = &weight
		}, "ServerConflict", "Accepted"},
		"another port of the server": {true, func(b *v1alpha1.TruePACSBalancer) {
			port := int32(11113)
			b.Spec.ServerPools[0].Servers[0].Port = &port
		}, "Accepted", "Accepted"},
		"nothing, status of one before":  {false, func(b *v1alpha1.TruePACSBalancer) {}, "PortConflict", "Accepted"},
		"the status of an older version": {false, func(b *v1alpha1.TruePACSBalancer) { b.Status.VirtualServices[0].Programmed = nil }, "Accepted", "PortConflict"},
	} {
		t.Run(name, func(t *testing.T) {
			older, younger := rivals(t, tc.serverPort)
			tc.edit(younger)
			younger.Generation = 2
			in := sampleInput(t, older, nil)
			in.Balancers = append(in.Balancers, younger)
			result := translate.Translate(in)
			if c := acceptedOf(result, older); c.Reason != tc.older {
				t.Errorf("older: %+v", c)
			}
			if c := acceptedOf(result, younger); c.Reason != tc.younger {
				t.Errorf("younger: %+v", c)
			}
		})
	}
}
