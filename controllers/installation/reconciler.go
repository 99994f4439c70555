package installation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/truepacs/balancer/controllers/liveness"
	"github.com/truepacs/balancer/internal/apply"
	"github.com/truepacs/balancer/internal/conditions"
	"github.com/truepacs/balancer/internal/render"
)

// retryRefused is how soon refused settings or a second installation are looked at again; a
// change of the settings file is noticed sooner.
const retryRefused = time.Minute

// Reconciler keeps the two DaemonSets. There is one thing to reconcile, so requests are all
// alike.
type Reconciler struct {
	// Client reads DaemonSets, Leases and the release mark of Namespace, and TruePACSNodes, from
	// a cache.
	Client client.Client
	// Reader reads past the cache: other namespaces' DaemonSets and our ServiceAccounts.
	Reader client.Reader
	// Recorder writes events (events.k8s.io).
	Recorder events.EventRecorder
	// Namespace is the operator's; everything is applied there.
	Namespace string
	// SettingsPath is the settings file, in a mounted ConfigMap.
	SettingsPath string
	// Version is the operator's version, for a label.
	Version string
	// Leases remembers when the agents were last heard.
	Leases *liveness.Book
	// Now is the clock; nil: time.Now.
	Now func() time.Time

	mu sync.Mutex
	// told is the last problem that was told, so that a lasting one is told once.
	told string
}

// Reconcile implements reconcile.Reconciler. Settings that are refused leave the DaemonSets as
// they are.
func (r *Reconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	mark, err := r.releaseMark(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	if mark != nil {
		return r.release(ctx, mark)
	}
	err = r.apply(ctx)
	if errors.Is(err, ErrSecondInstallation) || errors.Is(err, render.ErrSettings) {
		r.tellProblem(ctx, err)
		return ctrl.Result{RequeueAfter: retryRefused}, nil
	}
	if err == nil {
		r.setTold("")
	}
	return ctrl.Result{}, err
}

// releaseMark is the ConfigMap that asks all agents to let go; nil: it does not exist.
func (r *Reconciler) releaseMark(ctx context.Context) (*corev1.ConfigMap, error) {
	mark := &corev1.ConfigMap{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: render.ReleaseName}, mark)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look for ConfigMap %s: %w", render.ReleaseName, err)
	case mark.DeletionTimestamp != nil:
		return nil, nil
	}
	return mark, nil
}

func (r *Reconciler) apply(ctx context.Context) error {
	if err := CheckAlone(ctx, r.Reader, r.Namespace); err != nil {
		return err
	}
	settings, err := render.ReadFile(r.SettingsPath)
	if err != nil {
		return err
	}
	owners, err := r.owners(ctx)
	if err != nil {
		return err
	}
	sets, err := render.DaemonSets(settings, render.Place{Namespace: r.Namespace, Version: r.Version, Owners: owners})
	if err != nil {
		return err
	}
	for _, ds := range sets {
		err := r.Client.Apply(ctx, ds, client.FieldOwner(apply.FieldManager), client.ForceOwnership)
		if apierrors.IsInvalid(err) {
			return fmt.Errorf("%w: the API server refuses DaemonSet %s: %w", render.ErrSettings, *ds.Name, err)
		}
		if err != nil {
			return fmt.Errorf("apply DaemonSet %s: %w", *ds.Name, err)
		}
	}
	return nil
}

// owners finds the ServiceAccounts that own the DaemonSets. Without them pods could not start,
// so their absence is an error.
func (r *Reconciler) owners(ctx context.Context) (map[string]metav1.OwnerReference, error) {
	out := map[string]metav1.OwnerReference{}
	for _, name := range []string{render.AgentName, render.ProxyName} {
		var account corev1.ServiceAccount
		if err := r.Reader.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: name}, &account); err != nil {
			return nil, fmt.Errorf("read ServiceAccount %s/%s (the chart creates it): %w", r.Namespace, name, err)
		}
		out[name] = metav1.OwnerReference{APIVersion: "v1", Kind: "ServiceAccount", Name: name, UID: account.UID}
	}
	return out, nil
}

// tellProblem writes a log line and an event on the settings' ConfigMap, once for each problem.
func (r *Reconciler) tellProblem(ctx context.Context, problem error) {
	if !r.setTold(problem.Error()) {
		return
	}
	reason := "SettingsRefused"
	if errors.Is(problem, ErrSecondInstallation) {
		reason = "InstallationConflict"
	}
	ctrl.LoggerFrom(ctx).Error(problem, "The DaemonSets stay as they are")
	settings := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: render.SettingsName}}
	r.event(settings, corev1.EventTypeWarning, reason, "ApplySettings", "The DaemonSets stay as they are: "+problem.Error())
}

// setTold notes a problem; false: it was noted already.
func (r *Reconciler) setTold(problem string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	news := r.told != problem
	r.told = problem
	return news
}

func (r *Reconciler) event(about client.Object, kind, reason, action, note string) {
	note = conditions.Note(note)
	r.Recorder.Eventf(about, nil, kind, reason, conditions.Action(action, note), "%s", note)
}

func (r *Reconciler) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

func daemonSetKind() schema.GroupVersionKind { return appsv1.SchemeGroupVersion.WithKind("DaemonSet") }
