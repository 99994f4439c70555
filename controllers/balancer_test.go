package controllers_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/controllers"
)

const (
	isTrue    = metav1.ConditionTrue
	isFalse   = metav1.ConditionFalse
	isUnknown = metav1.ConditionUnknown
)

func TestStatusFollowsTheDirector(t *testing.T) {
	operator(t)
	node(t, "node-1", director())
	b := create(t, namespace(t), "radiology")

	got := expect(t, b, v1alpha1.ConditionReady, isUnknown, v1alpha1.ReasonPending)
	if len(got.Status.Conditions) != 9 || got.Status.Summary.Servers != "?/2" {
		t.Errorf("first visit: %+v", got.Status)
	}

	a := newAgent(t, "node-1")
	a.renew(t)
	a.report(t, b)
	got = expect(t, b, v1alpha1.ConditionReady, isTrue, v1alpha1.ReasonReady)
	want := v1alpha1.Summary{VirtualIPs: "192.0.2.100", Servers: "2/2", ActiveNodes: "node-1"}
	if diff := cmp.Diff(want, got.Status.Summary); diff != "" || got.Status.ObservedGeneration != got.Generation {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	told(t, b.Namespace, b.Name, v1alpha1.ReasonReady)

	a.report(t, b, "pacs-b")
	got = expect(t, b, v1alpha1.ConditionServersHealthy, isFalse, v1alpha1.ReasonServersDown)
	if got.Status.Summary.Servers != "1/2" || !strings.Contains(got.Status.Conditions[3].Message, "archive/pacs-b (192.0.2.12): Refused: connection refused: start the archive") {
		t.Errorf("server down: %+v", got.Status.Conditions[3])
	}
	told(t, b.Namespace, b.Name, "ServerDown")

	a.report(t, b)
	expect(t, b, v1alpha1.ConditionServersHealthy, isTrue, v1alpha1.ReasonAllHealthy)
	told(t, b.Namespace, b.Name, "ServerUp")

	a.report(t, b, "pacs-a", "pacs-b")
	expect(t, b, v1alpha1.ConditionServersHealthy, isFalse, v1alpha1.ReasonNoServerLeft)
	for _, server := range []string{"pacs-a", "pacs-b"} {
		eventually(t, "an event for each server that falls at once", func(ctx context.Context) error {
			return noteContains(ctx, b.Namespace, b.Name, "Server "+server+" of pool archive is down")
		})
	}
}

func TestSilenceIsNoticedWithoutAnyEvent(t *testing.T) {
	operator(t)
	node(t, "node-1", director())
	b := create(t, namespace(t), "radiology")
	a := newAgent(t, "node-1")
	a.lease = 2 * time.Second
	a.renew(t)
	a.report(t, b)
	expect(t, b, v1alpha1.ConditionReady, isUnknown, v1alpha1.ReasonDirectorSilent)
	told(t, b.Namespace, b.Name, v1alpha1.ReasonDirectorSilent)

	a.lease = time.Hour
	a.renew(t)
	expect(t, b, v1alpha1.ConditionReady, isTrue, v1alpha1.ReasonReady)
}

func TestDirectorsAreFoundByLabel(t *testing.T) {
	operator(t)
	b := create(t, namespace(t), "radiology")
	expect(t, b, v1alpha1.ConditionStalled, isTrue, v1alpha1.ReasonNoDirector)
	node(t, "node-1", director())
	expect(t, b, v1alpha1.ConditionAccepted, isUnknown, v1alpha1.ReasonPending)
	node(t, "node-2", director())
	expect(t, b, v1alpha1.ConditionStalled, isTrue, v1alpha1.ReasonTooManyDirectors)
	must(t, cluster.admin.Delete(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}))
	expect(t, b, v1alpha1.ConditionStalled, isFalse, "NotStalled")
}

// TestStatusIsWrittenOnlyWhenItChanges: renewals and reports that say the same leave the object
// alone, or the operator would keep the API server busy for ever.
func TestStatusIsWrittenOnlyWhenItChanges(t *testing.T) {
	operator(t)
	node(t, "node-1", director())
	b := create(t, namespace(t), "radiology")
	a := newAgent(t, "node-1")
	a.lease = 3 * time.Second
	a.renew(t)
	a.report(t, b)
	before := expect(t, b, v1alpha1.ConditionReady, isTrue, v1alpha1.ReasonReady)
	for range 12 {
		a.renew(t)
		a.report(t, b)
		time.Sleep(400 * time.Millisecond)
	}
	after, err := fetch(t.Context(), b)
	must(t, err)
	if before.ResourceVersion != after.ResourceVersion {
		t.Errorf("the status was written although nothing changed:\n%s", cmp.Diff(before.Status, after.Status))
	}
}

func TestOnlyTheStatusIsOurs(t *testing.T) {
	operator(t)
	b := create(t, namespace(t), "radiology")
	got := expect(t, b, v1alpha1.ConditionStalled, isTrue, v1alpha1.ReasonNoDirector)
	if diff := cmp.Diff(b.Spec, got.Spec); diff != "" || got.Generation != 1 {
		t.Errorf("the spec changed:\n%s", diff)
	}
	found := false
	for _, f := range got.ManagedFields {
		if f.Manager == "truepacs-operator" {
			found = true
			if f.Subresource != "status" || f.Operation != metav1.ManagedFieldsOperationApply {
				t.Errorf("the operator owns more than the status: %+v", f)
			}
		}
	}
	if !found {
		t.Error("the status was not applied by truepacs-operator")
	}
}

// oldest refuses every balancer but the first by name.
type oldest struct{}

func (oldest) Accepted(all []*v1alpha1.TruePACSBalancer, _ []*corev1.Node) map[types.NamespacedName]metav1.Condition {
	out := map[types.NamespacedName]metav1.Condition{}
	for _, b := range all {
		c := metav1.Condition{Type: "Accepted", Status: isTrue, Reason: v1alpha1.ReasonAccepted, Message: "Fine."}
		for _, other := range all {
			if other.Name < b.Name && other.Spec.VirtualIPs[0].Address == b.Spec.VirtualIPs[0].Address {
				c.Status, c.Reason, c.Message = isFalse, v1alpha1.ReasonPortConflict, other.Name+" has this address."
			}
		}
		out[client.ObjectKeyFromObject(b)] = c
	}
	return out
}

// TestConflictsReachTheOtherBalancer: a change of one balancer changes the verdict on another.
func TestConflictsReachTheOtherBalancer(t *testing.T) {
	operator(t, func(o *controllers.Options) { o.Validator = oldest{} })
	node(t, "node-1", director())
	ns := namespace(t)
	b := create(t, ns, "b")
	expect(t, b, v1alpha1.ConditionAccepted, isTrue, v1alpha1.ReasonAccepted)
	a := create(t, ns, "a")
	expect(t, b, v1alpha1.ConditionAccepted, isFalse, v1alpha1.ReasonPortConflict)
	expect(t, a, v1alpha1.ConditionAccepted, isTrue, v1alpha1.ReasonAccepted)
	must(t, cluster.admin.Delete(t.Context(), a))
	expect(t, b, v1alpha1.ConditionAccepted, isTrue, v1alpha1.ReasonAccepted)
}

func TestReportsOfOtherNamespacesDoNotCount(t *testing.T) {
	operator(t)
	node(t, "node-1", director())
	one, other := create(t, namespace(t), "radiology"), create(t, namespace(t), "radiology")
	a := newAgent(t, "node-1")
	a.renew(t)
	a.report(t, one)
	expect(t, one, v1alpha1.ConditionReady, isTrue, v1alpha1.ReasonReady)
	must(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error { // the operator writes status meanwhile
		if err := cluster.admin.Get(t.Context(), client.ObjectKeyFromObject(other), other); err != nil {
			return err
		}
		other.Spec.VirtualIPs[0].Interfaces = []string{"eth0"}
		return cluster.admin.Update(t.Context(), other)
	}))
	eventually(t, "another visit to the other", func(ctx context.Context) error {
		got, err := fetch(ctx, other)
		if err == nil && got.Status.ObservedGeneration != other.Generation {
			err = fmt.Errorf("it observed generation %d", got.Status.ObservedGeneration)
		}
		if err == nil && !strings.Contains(got.Status.Conditions[2].Message, "has not reported yet") {
			t.Errorf("a report of another namespace counts: %+v", got.Status.Conditions[2])
		}
		return err
	})
}

func TestTheOperatorCannotReadSecrets(t *testing.T) {
	for _, account := range []string{"truepacs-operator", "truepacs-proxy"} {
		err := clientOf(t, account).Get(t.Context(), client.ObjectKey{Namespace: home, Name: "any"}, &corev1.Secret{})
		if err == nil || !strings.Contains(err.Error(), "forbidden") {
			t.Errorf("%s read a Secret: %v", account, err)
		}
	}
	agent := clientOf(t, "truepacs-agent")
	if err := agent.Get(t.Context(), client.ObjectKey{Namespace: home, Name: "any"}, &corev1.Secret{}); client.IgnoreNotFound(err) != nil {
		t.Errorf("an agent cannot get a Secret: %v", err)
	}
	if err := agent.List(t.Context(), &corev1.SecretList{}); err == nil || !strings.Contains(err.Error(), "forbidden") {
		t.Errorf("an agent can list Secrets: %v", err)
	}
}
