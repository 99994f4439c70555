package balancer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/controllers/liveness"
)

// reconcileTimeout bounds one visit; all reads come from the cache, the one write is small.
const reconcileTimeout = 30 * time.Second

var _ reconcile.Reconciler = (*Reconciler)(nil)

// SetupWithManager registers the controller. A change of one balancer's spec visits all, because
// it may make or end a conflict with another.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.TruePACSReport{}, reportIndex, indexReport); err != nil {
		return fmt.Errorf("index reports by balancer: %w", err)
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &corev1.Service{}, addressIndex, indexService); err != nil {
		return fmt.Errorf("index Services by address: %w", err)
	}
	all := handler.EnqueueRequestsFromMapFunc(r.all)
	b := ctrl.NewControllerManagedBy(mgr).
		Named("balancer").
		For(&v1alpha1.TruePACSBalancer{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.TruePACSBalancer{}, all, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.TruePACSReport{}, handler.EnqueueRequestsFromMapFunc(ofReport)).
		Watches(&coordinationv1.Lease{}, all, builder.WithPredicates(r.leaseTurned())).
		Watches(&corev1.Node{}, all, builder.WithPredicates(nodeMatters())).
		Watches(&corev1.Service{}, handler.EnqueueRequestsFromMapFunc(r.ofService), builder.WithPredicates(serviceMatters())).
		WithOptions(controller.Options{ReconciliationTimeout: reconcileTimeout})
	if r.Pools != nil {
		if err := mgr.Add(r.Pools); err != nil {
			return fmt.Errorf("look at MetalLB's address pools: %w", err)
		}
		b = b.WatchesRawSource(source.Channel(r.Pools.changed, all))
	}
	return b.Complete(r)
}

func (r *Reconciler) all(ctx context.Context, _ client.Object) []reconcile.Request {
	var balancers v1alpha1.TruePACSBalancerList
	if err := r.Client.List(ctx, &balancers); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "List the balancers to visit")
		return nil
	}
	var out []reconcile.Request
	for i := range balancers.Items {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&balancers.Items[i])})
	}
	return out
}

func ofReport(_ context.Context, o client.Object) []reconcile.Request {
	var out []reconcile.Request
	for _, name := range indexReport(o) {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKey{Namespace: o.GetNamespace(), Name: name}})
	}
	return out
}

// leaseTurned lets a Lease through when its agent comes back to life, gives up or disappears.
// Ordinary renewals, several a second in a large cluster, visit nothing; that a Lease runs out
// is noticed by the timer each visit sets.
func (r *Reconciler) leaseTurned() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return r.turned(e.Object) },
		UpdateFunc: func(e event.UpdateEvent) bool { return r.turned(e.ObjectNew) },
		DeleteFunc: func(e event.DeleteEvent) bool { return r.gone(e.Object) },
	}
}

func (r *Reconciler) turned(o client.Object) bool {
	lease, ok := o.(*coordinationv1.Lease)
	if !ok {
		return false
	}
	node, ok := liveness.Node(lease)
	if !ok {
		return false
	}
	now := r.now()
	before, _ := r.Leases.Until(node)
	after := r.Leases.Observe(lease, now)
	return before.After(now) != after.After(now)
}

func (r *Reconciler) gone(o client.Object) bool {
	lease, ok := o.(*coordinationv1.Lease)
	if !ok {
		return false
	}
	node, ok := liveness.Node(lease)
	if ok {
		r.Leases.Forget(node)
	}
	return ok
}

// nodeMatters lets a node through when its labels or addresses change, not at every heartbeat.
func nodeMatters() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*corev1.Node)
		after, ok2 := e.ObjectNew.(*corev1.Node)
		return !ok || !ok2 || !maps.Equal(before.Labels, after.Labels) || !slices.Equal(before.Status.Addresses, after.Status.Addresses)
	}}
}
