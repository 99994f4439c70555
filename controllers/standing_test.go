package controllers_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/controllers"
	"github.com/truepacs/balancer/internal/translate"
)

// programs reports what the agent has programmed of a balancer: what translation makes of it.
func (a *agent) programs(t *testing.T, b *v1alpha1.TruePACSBalancer) {
	t.Helper()
	in := translate.Input{
		Node:      translate.Node{Name: a.node, Interfaces: []translate.Interface{{Name: "eth0", Up: true}}},
		Nodes:     []translate.NodeInfo{{Name: a.node, Labels: director()}},
		Balancers: []*v1alpha1.TruePACSBalancer{b},
	}
	in.Balancers[0].Spec.VirtualIPs[0].Interfaces = []string{"eth0"}
	result := translate.Translate(in).Balancers[client.ObjectKeyFromObject(b)]
	if result.Services[0].Programmed == nil {
		t.Fatalf("nothing is programmed: %+v", result)
	}
	status := v1alpha1.TruePACSReportStatus{
		Balancer: b.Name, Node: a.node, ObservedGeneration: b.Generation, Conditions: allWell(b.Generation),
		VirtualIPs:      []v1alpha1.VirtualIPStatus{{Name: "main", Address: b.Spec.VirtualIPs[0].Address, ActiveNode: a.node}},
		VirtualServices: []v1alpha1.VirtualServiceStatus{{Name: "dicom", Conditions: allWell(b.Generation), Programmed: result.Services[0].Programmed}},
	}
	a.write(t, b, status)
}

// edit changes the spec of a balancer and waits until the operator has seen it.
func edit(t *testing.T, b *v1alpha1.TruePACSBalancer, change func(*v1alpha1.TruePACSBalancerSpec)) *v1alpha1.TruePACSBalancer {
	t.Helper()
	must(t, retry.RetryOnConflict(retry.DefaultRetry, func() error {
		got, err := fetch(t.Context(), b)
		if err != nil {
			return err
		}
		change(&got.Spec)
		b = got
		return cluster.admin.Update(t.Context(), got)
	}))
	var got *v1alpha1.TruePACSBalancer
	eventually(t, "the operator's word on the edit", func(ctx context.Context) (err error) {
		if got, err = fetch(ctx, b); err == nil && got.Status.ObservedGeneration != b.Generation {
			err = fmt.Errorf("the status speaks of generation %d", got.Status.ObservedGeneration)
		}
		return err
	})
	return got
}

// TestEditOfAProgrammedBalancer: a balancer that is programmed keeps what it has while its director is
// on the way to an edit of it: the older one that is refused for it stays so, nobody is told of a
// conflict.
func TestEditOfAProgrammedBalancer(t *testing.T) {
	operator(t, func(o *controllers.Options) { o.Validator = controllers.Rules{} })
	node(t, "node-1", director())
	for name, tc := range map[string]struct {
		address string
		mode    v1alpha1.Mode
		reason  string
	}{
		"one address and port":   {"192.0.2.101", v1alpha1.ModeL4SNAT, v1alpha1.ReasonPortConflict},
		"one port of one server": {"192.0.2.102", v1alpha1.ModeL7SNAT, v1alpha1.ReasonServerConflict},
	} {
		t.Run(name, func(t *testing.T) {
			ns := namespace(t)
			old := rival(ns, "old", tc.address, tc.mode)
			old.Spec.VirtualServices[0].Ports, old.Spec.ServerPools[0].Servers[0].Address = []int32{105}, "192.0.2.19"
			eventually(t, "creating the older one", func(ctx context.Context) error { return cluster.admin.Create(ctx, old) })
			expect(t, old, v1alpha1.ConditionAccepted, isTrue, v1alpha1.ReasonAccepted)
			time.Sleep(time.Until(old.CreationTimestamp.Add(time.Second + 100*time.Millisecond))) // they count whole seconds
			young := rival(ns, "young", "192.0.2.101", v1alpha1.ModeL4SNAT)
			must(t, cluster.admin.Create(t.Context(), young))
			young = expect(t, young, v1alpha1.ConditionAccepted, isTrue, v1alpha1.ReasonAccepted)
			a := newAgent(t, "node-1")
			a.renew(t)
			a.programs(t, young.DeepCopy())
			expect(t, young, v1alpha1.ConditionReady, isTrue, v1alpha1.ReasonReady)
			old = edit(t, old, func(s *v1alpha1.TruePACSBalancerSpec) {
				s.VirtualServices[0].Ports, s.ServerPools[0].Servers[0].Address = []int32{104}, "192.0.2.11"
			})
			expect(t, old, v1alpha1.ConditionAccepted, isFalse, tc.reason)
			for i := range int32(3) { // its director is slow: it has reported the first generation only
				weight := 50 + i
				young = edit(t, young, func(s *v1alpha1.TruePACSBalancerSpec) { s.ServerPools[0].Servers[0].Weight = &weight })
				if c := meta.FindStatusCondition(young.Status.Conditions, v1alpha1.ConditionAccepted); c.Status != metav1.ConditionTrue {
					t.Fatalf("edit %d: %+v", i, c)
				}
				touch(t, old)
				expect(t, old, v1alpha1.ConditionAccepted, isFalse, tc.reason)
				expect(t, young, v1alpha1.ConditionAccepted, isTrue, v1alpha1.ReasonAccepted)
			}
			quiet(t, ns, "young")
			must(t, cluster.admin.Delete(t.Context(), young))
			expect(t, old, v1alpha1.ConditionAccepted, isTrue, v1alpha1.ReasonAccepted)
			must(t, client.IgnoreNotFound(cluster.admin.Delete(t.Context(), old)))
		})
	}
}

// touch changes a balancer in a way that is of no account and waits for the operator.
func touch(t *testing.T, b *v1alpha1.TruePACSBalancer) {
	t.Helper()
	edit(t, b, func(s *v1alpha1.TruePACSBalancerSpec) {
		weight := int32(1)
		if w := s.ServerPools[0].Servers[0].Weight; w != nil {
			weight = *w + 1
		}
		s.ServerPools[0].Servers[0].Weight = &weight
	})
}

// quiet looks for events about a conflict.
func quiet(t *testing.T, ns, about string) {
	t.Helper()
	var events eventsv1.EventList
	must(t, cluster.admin.List(t.Context(), &events, client.InNamespace(ns)))
	for _, e := range events.Items {
		if e.Regarding.Name == about && strings.Contains(e.Reason, "Conflict") {
			t.Errorf("told about %s: %s %s", about, e.Reason, e.Note)
		}
	}
}
