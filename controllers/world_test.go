package controllers_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1ac "k8s.io/client-go/applyconfigurations/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/truepacs/balancer/api/v1alpha1"
	acv1alpha1 "github.com/truepacs/balancer/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/truepacs/balancer/internal/apply"
	"github.com/truepacs/balancer/internal/render"
)

// sweep takes away what a test leaves in the cluster.
func sweep(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var errs []error
	for _, kind := range []client.Object{&appsv1.DaemonSet{}, &coordinationv1.Lease{}} {
		errs = append(errs, cluster.admin.DeleteAllOf(ctx, kind, client.InNamespace(home)))
	}
	mark := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: render.ReleaseName}}
	errs = append(errs, client.IgnoreNotFound(cluster.admin.Delete(ctx, mark)),
		cluster.admin.DeleteAllOf(ctx, &corev1.Node{}), cluster.admin.DeleteAllOf(ctx, &v1alpha1.TruePACSNode{}))
	var balancers v1alpha1.TruePACSBalancerList
	errs = append(errs, cluster.admin.List(ctx, &balancers))
	for i := range balancers.Items {
		errs = append(errs, client.IgnoreNotFound(cluster.admin.Delete(ctx, &balancers.Items[i])))
	}
	if err := errors.Join(errs...); err != nil {
		t.Errorf("clean up: %v", err)
	}
}

// namespace makes a namespace of a tenant, with a name of its own.
func namespace(t *testing.T) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "imaging-"}}
	must(t, cluster.admin.Create(t.Context(), ns))
	return ns.Name
}

func node(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	must(t, cluster.admin.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}))
}

func director() map[string]string { return map[string]string{v1alpha1.DirectorLabel: "true"} }

// create makes a balancer with one address, one pool of two servers and one service.
func create(t *testing.T, ns, name string) *v1alpha1.TruePACSBalancer {
	t.Helper()
	b := &v1alpha1.TruePACSBalancer{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec: v1alpha1.TruePACSBalancerSpec{
			VirtualIPs: []v1alpha1.VirtualIP{{Name: "main", Address: "192.0.2.100"}},
			ServerPools: []v1alpha1.ServerPool{{Name: "archive", Servers: []v1alpha1.Server{
				{Name: "pacs-a", Address: "192.0.2.11"}, {Name: "pacs-b", Address: "192.0.2.12"},
			}}},
			VirtualServices: []v1alpha1.VirtualService{{
				Name: "dicom", VirtualIPs: []string{"main"}, Mode: v1alpha1.ModeL4DR, Ports: []int32{104}, ServerPool: "archive",
			}},
		},
	}
	eventually(t, "creating a TruePACSBalancer", func(ctx context.Context) error { return cluster.admin.Create(ctx, b) })
	return b
}

func fetch(ctx context.Context, b *v1alpha1.TruePACSBalancer) (*v1alpha1.TruePACSBalancer, error) {
	got := &v1alpha1.TruePACSBalancer{}
	return got, cluster.admin.Get(ctx, client.ObjectKeyFromObject(b), got)
}

// expect waits until a condition has a status and reason.
func expect(t *testing.T, b *v1alpha1.TruePACSBalancer, kind string, status metav1.ConditionStatus, reason string) *v1alpha1.TruePACSBalancer {
	t.Helper()
	var got *v1alpha1.TruePACSBalancer
	eventually(t, fmt.Sprintf("%s %s %s", kind, status, reason), func(ctx context.Context) (err error) {
		if got, err = fetch(ctx, b); err != nil {
			return err
		}
		c := meta.FindStatusCondition(got.Status.Conditions, kind)
		if c == nil || c.Status != status || c.Reason != reason {
			return fmt.Errorf("it is %+v", c)
		}
		return nil
	})
	return got
}

// told waits until an event with the reason was told about an object.
func told(t *testing.T, ns, about, reason string) {
	t.Helper()
	eventually(t, "event "+reason, func(ctx context.Context) error {
		var events eventsv1.EventList
		if err := cluster.admin.List(ctx, &events, client.InNamespace(ns)); err != nil {
			return err
		}
		var seen []string
		for _, e := range events.Items {
			if e.Regarding.Name == about && e.Reason == reason && e.Note != "" && e.ReportingController == "truepacs-operator" {
				return nil
			}
			seen = append(seen, e.Regarding.Name+" "+e.Reason)
		}
		return fmt.Errorf("events are %v", seen)
	})
}

// agent does what the agent of a node does towards the API, as the agents' ServiceAccount.
type agent struct {
	client client.Client
	node   string
	lease  time.Duration
}

func newAgent(t *testing.T, node string) *agent {
	return &agent{client: clientOf(t, "truepacs-agent"), node: node, lease: time.Hour}
}

// renew renews the agent's Lease.
func (a *agent) renew(t *testing.T) {
	t.Helper()
	spec := coordinationv1ac.LeaseSpec().WithHolderIdentity(a.node).WithRenewTime(metav1.NowMicro()).
		WithLeaseDurationSeconds(int32(a.lease.Seconds()))
	lease := coordinationv1ac.Lease("truepacs-node-"+a.node, home).WithSpec(spec)
	must(t, a.client.Apply(t.Context(), lease, client.FieldOwner("truepacs-agent")))
}

// report writes what the agent sees of a balancer: all well, except servers that are down.
func (a *agent) report(t *testing.T, b *v1alpha1.TruePACSBalancer, down ...string) {
	t.Helper()
	status := v1alpha1.TruePACSReportStatus{
		Balancer: b.Name, Node: a.node, ObservedGeneration: b.Generation, Conditions: allWell(b.Generation),
		VirtualIPs:      []v1alpha1.VirtualIPStatus{{Name: "main", Address: "192.0.2.100", ActiveNode: a.node, Interface: "eth0"}},
		VirtualServices: []v1alpha1.VirtualServiceStatus{{Name: "dicom", Conditions: allWell(b.Generation)}},
	}
	for _, server := range b.Spec.ServerPools[0].Servers {
		state := v1alpha1.ServerState{ServerPool: "archive", Name: server.Name, Health: v1alpha1.HealthHealthy, State: "Active"}
		for _, d := range down {
			if d == server.Name {
				state.Health, state.Reason, state.Message = v1alpha1.HealthUnhealthy, "Refused", "connection refused: start the archive on "+server.Name
			}
		}
		status.VirtualServices[0].ServerStates = append(status.VirtualServices[0].ServerStates, state)
	}
	a.write(t, b, status)
}

func (a *agent) write(t *testing.T, b *v1alpha1.TruePACSBalancer, status v1alpha1.TruePACSReportStatus) {
	t.Helper()
	name := b.Name + "." + a.node
	object := acv1alpha1.TruePACSReport(name, b.Namespace).WithLabels(map[string]string{"lb.truepacs.io/balancer": b.Name})
	must(t, a.client.Apply(t.Context(), object, client.FieldOwner("truepacs-agent")))
	ac := acv1alpha1.TruePACSReportStatus()
	must(t, apply.Convert(status, ac))
	object = acv1alpha1.TruePACSReport(name, b.Namespace).WithStatus(ac)
	must(t, a.client.Status().Apply(t.Context(), object, client.FieldOwner("truepacs-agent")))
}

// describe writes the agent's TruePACSNode.
func (a *agent) describe(t *testing.T, released bool) {
	t.Helper()
	must(t, a.client.Apply(t.Context(), acv1alpha1.TruePACSNode(a.node), client.FieldOwner("truepacs-agent")))
	role := v1alpha1.NodeRoleDirector
	if released {
		role = v1alpha1.NodeRoleReleased
	}
	object := acv1alpha1.TruePACSNode(a.node).WithStatus(acv1alpha1.TruePACSNodeStatus().WithRole(role))
	must(t, a.client.Status().Apply(t.Context(), object, client.FieldOwner("truepacs-agent")))
}

func allWell(generation int64) []metav1.Condition {
	var out []metav1.Condition
	for kind, reason := range map[string]string{"Accepted": "Accepted", "ResolvedRefs": "Resolved", "Programmed": "Programmed"} {
		out = append(out, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: "Fine.",
			ObservedGeneration: generation, LastTransitionTime: metav1.Now()})
	}
	return out
}
