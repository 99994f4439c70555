package installation

import (
	"bytes"
	"context"
	"os"
	"time"

	appsv1 "k8s.io/api/apps/v1"
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

	"github.com/truepacs/balancer/internal/render"
)

// reconcileTimeout bounds one visit.
const reconcileTimeout = time.Minute

// settingsPoll is how often the settings file is compared with what was last seen. The kubelet
// takes up to a minute to renew a mounted ConfigMap, so watching the file closer gains nothing.
const settingsPoll = 2 * time.Second

var _ reconcile.Reconciler = (*Reconciler)(nil)

// SetupWithManager registers the controller. It visits once at the start, then when the settings
// file, a DaemonSet or the release mark changes.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	one := handler.EnqueueRequestsFromMapFunc(r.one)
	changes := make(chan event.GenericEvent)
	err := mgr.Add(watcher{path: r.SettingsPath, changes: changes, about: r.settingsObject()})
	if err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("installation").
		Watches(&appsv1.DaemonSet{}, one, builder.WithPredicates(ours(), drift())).
		Watches(&corev1.ConfigMap{}, one, builder.WithPredicates(named(render.ReleaseName))).
		WatchesRawSource(source.Channel(changes, one)).
		WithOptions(controller.Options{ReconciliationTimeout: reconcileTimeout}).
		Complete(r)
}

func (r *Reconciler) one(context.Context, client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: r.Namespace, Name: "installation"}}}
}

func (r *Reconciler) settingsObject() client.Object {
	settings := &corev1.ConfigMap{}
	settings.Namespace, settings.Name = r.Namespace, render.SettingsName
	return settings
}

func named(name string) predicate.Predicate {
	return predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetName() == name })
}

func ours() predicate.Predicate {
	return predicate.Or(named(render.AgentName), named(render.ProxyName))
}

// drift lets a DaemonSet through when someone changed or removed it, not when its status counts
// pods.
func drift() predicate.Predicate {
	return predicate.Or(predicate.GenerationChangedPredicate{}, predicate.LabelChangedPredicate{}, predicate.AnnotationChangedPredicate{})
}

// watcher sends one change at the start and one whenever the settings file's bytes differ.
type watcher struct {
	path    string
	changes chan<- event.GenericEvent
	about   client.Object
}

// Start implements manager.Runnable.
func (w watcher) Start(ctx context.Context) error {
	tick := time.NewTicker(settingsPoll)
	defer tick.Stop()
	var last []byte
	for first := true; ; first = false {
		text, err := os.ReadFile(w.path)
		if first || (err == nil && !bytes.Equal(text, last)) {
			select {
			case w.changes <- event.GenericEvent{Object: w.about}:
			case <-ctx.Done():
				return nil
			}
			last = text
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: only the leader applies.
func (watcher) NeedLeaderElection() bool { return true }
