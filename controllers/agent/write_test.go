package agent

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/controllers"
	"github.com/truepacs/balancer/internal/node"
)

// server is an API server in memory that counts calls and may refuse deletes.
type server struct {
	client.Client
	deletes int
	refuse  error
}

func newServer(t *testing.T, objects ...client.Object) *server {
	t.Helper()
	scheme, err := controllers.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{}
	s.Client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.TruePACSReport{}, &v1alpha1.TruePACSNode{}).
		WithInterceptorFuncs(interceptor.Funcs{
			Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
				s.deletes++
				if s.refuse != nil {
					return s.refuse
				}
				return c.Delete(ctx, o, opts...)
			},
		}).Build()
	return s
}

func (s *server) has(t *testing.T, name string) bool {
	t.Helper()
	err := s.Get(t.Context(), types.NamespacedName{Namespace: "ns", Name: name}, &v1alpha1.TruePACSReport{})
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	return err == nil
}

func testRunner() *runner {
	return &runner{options: Options{Node: "lb1", Namespace: "truepacs-system"}, log: logr.Discard()}
}

func leftover(name string) *v1alpha1.TruePACSReport {
	return &v1alpha1.TruePACSReport{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
}

// TestReportsOfAnEarlierProcessAreRemoved: the node was director when its agent went down, and is
// not any more.
func TestReportsOfAnEarlierProcessAreRemoved(t *testing.T) {
	name := types.NamespacedName{Namespace: "ns", Name: "radiology"}
	api := newServer(t, balancers("radiology")[0], leftover("radiology-lb1"), leftover("radiology-lb2"))
	r, before := testRunner(), newWritten()
	write := func(active bool) error {
		return r.writeReports(t.Context(), api, map[types.NamespacedName]node.Report{name: {Active: active}}, before)
	}
	api.refuse = errors.New("no")
	if err := write(false); err == nil {
		t.Error("a report that could not be removed is no error")
	}
	api.refuse = nil
	for range 3 {
		if err := write(false); err != nil {
			t.Fatal(err)
		}
	}
	if api.has(t, "radiology-lb1") || !api.has(t, "radiology-lb2") {
		t.Error("this node's report is there, or another's is not")
	}
	if api.deletes != 2 {
		t.Errorf("removed %d times, want once refused and once", api.deletes)
	}
	for round := range 2 { // it becomes the director and ceases to be
		if err := write(true); err != nil {
			t.Fatal(err)
		}
		if !api.has(t, "radiology-lb1") {
			t.Errorf("round %d: the director does not report", round)
		}
		if err := write(false); err != nil {
			t.Fatal(err)
		}
		if api.has(t, "radiology-lb1") {
			t.Errorf("round %d: the report stays", round)
		}
	}
	if err := r.writeReports(t.Context(), api, nil, before); err != nil || len(before.gone)+len(before.reports) != 0 {
		t.Errorf("%v, remembers %v for ever", err, before)
	}
}

// TestLeaseIsRenewedOnItsTickOnly reports ten times a second for a minute.
func TestLeaseIsRenewedOnItsTickOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		woken := make(chan struct{}, 1)
		var waking sync.WaitGroup
		waking.Go(func() {
			for ctx.Err() == nil {
				notify(woken)
				time.Sleep(100 * time.Millisecond)
			}
		})
		leases, writes := 0, 0
		keepWriting(ctx, woken, func() { leases++ }, func() { writes++ })
		waking.Wait()
		if leases < 12 || leases > 13 {
			t.Errorf("the Lease was renewed %d times in a minute, want every 5 s", leases)
		}
		if writes < 300 {
			t.Errorf("%d reports only, the sample is too small", writes)
		}
	})
}
