package controllers_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/controllers"
)

// rival is a balancer whose only service comes to port 11112 of 192.0.2.11 in a mode.
func rival(ns, name, vip string, mode v1alpha1.Mode) *v1alpha1.TruePACSBalancer {
	port := int32(11112)
	service := v1alpha1.VirtualService{Name: "dicom", VirtualIPs: []string{"main"}, Mode: mode, Ports: []int32{104}, ServerPool: "archive"}
	if mode == v1alpha1.ModeL7SNAT {
		service.Layer7 = &v1alpha1.Layer7{Application: v1alpha1.ApplicationTCP}
	}
	return &v1alpha1.TruePACSBalancer{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec: v1alpha1.TruePACSBalancerSpec{
			VirtualIPs:      []v1alpha1.VirtualIP{{Name: "main", Address: vip}},
			ServerPools:     []v1alpha1.ServerPool{{Name: "archive", Port: &port, Servers: []v1alpha1.Server{{Name: "pacs-a", Address: "192.0.2.11"}}}},
			VirtualServices: []v1alpha1.VirtualService{service},
		},
	}
}

// TestServerPortOfTwoModes: of an L4SNAT and an L7SNAT service at one port of one server the operator
// refuses the one that is created second, whichever that is and whatever it is called; when the first is
// gone, the second is accepted.
func TestServerPortOfTwoModes(t *testing.T) {
	operator(t, func(o *controllers.Options) { o.Validator = controllers.Rules{} })
	node(t, "node-1", director())
	for _, order := range [][2]v1alpha1.Mode{{v1alpha1.ModeL4SNAT, v1alpha1.ModeL7SNAT}, {v1alpha1.ModeL7SNAT, v1alpha1.ModeL4SNAT}} {
		t.Run(string(order[0])+" first", func(t *testing.T) {
			ns := namespace(t)
			first := rival(ns, "z-first", "192.0.2.101", order[0])
			eventually(t, "creating the first", func(ctx context.Context) error { return cluster.admin.Create(ctx, first) })
			expect(t, first, v1alpha1.ConditionAccepted, isTrue, v1alpha1.ReasonAccepted)
			time.Sleep(time.Until(first.CreationTimestamp.Add(time.Second + 100*time.Millisecond))) // they count whole seconds
			second := rival(ns, "a-second", "192.0.2.102", order[1])
			must(t, cluster.admin.Create(t.Context(), second))
			got := expect(t, second, v1alpha1.ConditionAccepted, isFalse, v1alpha1.ReasonServerConflict)
			message := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionAccepted).Message
			for _, says := range []string{"server 192.0.2.11 port 11112 is used by service " + ns + "/z-first/dicom in mode " + string(order[0]), "write the same mode for both, or another port of the server"} {
				if !strings.Contains(message, says) {
					t.Errorf("the message lacks %q: %s", says, message)
				}
			}
			expect(t, first, v1alpha1.ConditionAccepted, isTrue, v1alpha1.ReasonAccepted)
			must(t, cluster.admin.Delete(t.Context(), first))
			expect(t, second, v1alpha1.ConditionAccepted, isTrue, v1alpha1.ReasonAccepted)
			must(t, client.IgnoreNotFound(cluster.admin.Delete(t.Context(), second)))
		})
	}
}
