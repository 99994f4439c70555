package balancer

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/controllers/liveness"
	"github.com/truepacs/balancer/internal/conditions"
)

// Validator knows the rules that join several balancers: two on one address and port, one
// address with different directors, an address that a node already has.
type Validator interface {
	// Accepted returns for each balancer its condition Accepted. A balancer that is missing from
	// the result has no verdict. It must not keep or change its arguments.
	Accepted(all []*v1alpha1.TruePACSBalancer, nodes []*corev1.Node) map[types.NamespacedName]metav1.Condition
}

// Reconciler folds what the directors report into the status of one TruePACSBalancer at a time.
type Reconciler struct {
	// Client reads from a cache that holds balancers, reports, nodes, Services and the Leases of Namespace.
	Client client.Client
	// Recorder writes events (events.k8s.io).
	Recorder events.EventRecorder
	// Validator may be nil: then the directors' verdict counts alone.
	Validator Validator
	// Pools knows MetalLB's address pools; nil: nobody looks at them.
	Pools *Pools
	// Namespace is the operator's; the agents' Leases are there.
	Namespace string
	// Leases remembers when the agents were last heard.
	Leases *liveness.Book
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// scope is one visit to one balancer.
type scope struct {
	balancer *v1alpha1.TruePACSBalancer
	input    conditions.Input
	status   v1alpha1.TruePACSBalancerStatus
	again    time.Duration
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	s := &scope{balancer: &v1alpha1.TruePACSBalancer{}}
	if err := r.Client.Get(ctx, req.NamespacedName, s.balancer); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if s.balancer.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	s.input = conditions.Input{Balancer: s.balancer, Now: r.now()}
	for _, phase := range []func(context.Context, *scope) error{
		r.gatherReports,
		r.gatherDirectors,
		r.gatherLeases,
		r.gatherUsers,
		r.validate,
		r.fold,
		r.writeStatus,
	} {
		if err := phase(ctx, s); err != nil {
			return ctrl.Result{}, fmt.Errorf("TruePACSBalancer %s: %w", req.NamespacedName, err)
		}
	}
	return ctrl.Result{RequeueAfter: s.again}, nil
}

func (r *Reconciler) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

func (r *Reconciler) fold(_ context.Context, s *scope) error {
	s.status = conditions.Fold(s.input)
	s.again = untilExpiry(s.input)
	return nil
}

// lookAgain is when a balancer whose directors are all silent is visited again, in case the
// event of a Lease's renewal was spent on the visit to another balancer.
const lookAgain = 30 * time.Second

// untilExpiry is the time until the first Lease that still counts runs out, at most lookAgain.
func untilExpiry(in conditions.Input) time.Duration {
	first := lookAgain
	for _, until := range in.Leases {
		if left := until.Sub(in.Now); left > 0 {
			first = min(first, left+100*time.Millisecond)
		}
	}
	return first
}
