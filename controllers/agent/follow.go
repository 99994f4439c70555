package agent

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/controllers"
	"github.com/truepacs/balancer/internal/node"
	"github.com/truepacs/balancer/internal/render"
	"github.com/truepacs/balancer/internal/wiring"
)

const (
	// settle is how long changes are gathered before they are carried out together.
	settle = 50 * time.Millisecond
	// refresh is how often Secrets and the host's network are read again: neither is watched.
	refresh = 30 * time.Second
	// callTimeout bounds one pass of reads or writes.
	callTimeout = 20 * time.Second
)

// runner is the agent of one node.
type runner struct {
	options Options
	config  *rest.Config
	log     logr.Logger
	host    *wiring.Host
	node    *node.Node
	active  atomic.Bool
	report  chan struct{}

	before accepted // goroutine of serveAPI only

	mu       sync.Mutex
	deleted  map[types.NamespacedName]bool
	released bool
	lost     string
}

// follow watches balancers, nodes, the release mark and the Services that balancers name, and carries out what changes, until ctx
// ends.
func (r *runner) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	api, err := newClient(r.config)
	if err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	store, err := r.watch(ctx, changed)
	if err != nil {
		return err
	}
	services, err := NewServices(r.config, r.log, func() { notify(changed) })
	if err != nil {
		return err
	}
	defer services.Close()
	var reporting sync.WaitGroup
	defer reporting.Wait()
	defer cancel()
	reporting.Go(func() { r.reportUntil(ctx, api) })
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	for {
		if err := r.update(ctx, store, api, services); err != nil && ctx.Err() == nil {
			r.log.Error(err, "the change is not carried out in full, it will be tried again")
			time.AfterFunc(time.Second, func() { notify(changed) })
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			time.Sleep(settle)
		case <-tick.C:
		}
	}
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// watch starts the caches and returns when they are filled.
func (r *runner) watch(ctx context.Context, changed chan struct{}) (cache.Cache, error) {
	scheme, err := controllers.Scheme()
	if err != nil {
		return nil, err
	}
	mark := map[string]cache.Config{r.options.Namespace: {FieldSelector: fields.OneTermEqualSelector("metadata.name", render.ReleaseName)}}
	store, err := cache.New(r.config, cache.Options{
		Scheme:           scheme,
		DefaultTransform: controllers.Trim,
		ByObject:         map[client.Object]cache.ByObject{&corev1.ConfigMap{}: {Namespaces: mark}},
	})
	if err != nil {
		return nil, fmt.Errorf("prepare to watch: %w", err)
	}
	for _, kind := range []client.Object{&v1alpha1.TruePACSBalancer{}, &corev1.Node{}, &corev1.ConfigMap{}} {
		informer, err := store.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", kind, err)
		}
		if _, err := informer.AddEventHandler(r.handler(changed)); err != nil {
			return nil, fmt.Errorf("watch %T: %w", kind, err)
		}
	}
	go func() {
		if err := store.Start(ctx); err != nil {
			r.log.Error(err, "watching ended")
		}
	}()
	if !store.WaitForCacheSync(ctx) {
		return nil, ctx.Err()
	}
	return store, nil
}

// handler wakes the loop and remembers which balancers were seen to be deleted: an object that a
// new list merely lacks comes as DeletedFinalStateUnknown and is not deleted for that.
func (r *runner) handler(changed chan struct{}) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) {
			if b, ok := o.(*v1alpha1.TruePACSBalancer); ok {
				r.setDeleted(nameOf(b), false)
			}
			notify(changed)
		},
		UpdateFunc: func(_, _ any) { notify(changed) },
		DeleteFunc: func(o any) {
			if b, ok := o.(*v1alpha1.TruePACSBalancer); ok {
				r.setDeleted(nameOf(b), true)
			}
			notify(changed)
		},
	}
}

func (r *runner) setDeleted(name types.NamespacedName, deleted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.deleted == nil {
		r.deleted = map[types.NamespacedName]bool{}
	}
	if deleted {
		r.deleted[name] = true
	} else {
		delete(r.deleted, name)
	}
}

func (r *runner) deletions() map[types.NamespacedName]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.deleted)
}

// crdName is the CustomResourceDefinition that balancers come from.
const crdName = "truepacsbalancers.lb.truepacs.io"

// crd is read as metadata only: the agent may get this one object and needs its UID.
func crd() *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
	}
}
