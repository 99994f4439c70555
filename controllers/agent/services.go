package agent

import (
	"context"
	"fmt"
	"sync"

	"github.com/go-logr/logr"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	discoveryclient "k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/truepacs/balancer/internal/translate"
)

// Services watches the EndpointSlices of some Services and of no others: in a big cluster those
// of all Services are far more than a director needs, and change every second. Its methods may
// be called from several goroutines. Close it.
type Services struct {
	client  discoveryclient.DiscoveryV1Interface
	log     logr.Logger
	changed func()

	mu      sync.Mutex
	running sync.WaitGroup
	watched map[types.NamespacedName]*watchedService
}

// watchedService is the watch of one Service.
type watchedService struct {
	informer toolscache.SharedIndexInformer
	stop     context.CancelFunc
}

// NewServices watches nothing yet. changed is called when Endpoints may return something new; it
// must not block.
func NewServices(cfg *rest.Config, log logr.Logger, changed func()) (*Services, error) {
	client, err := discoveryclient.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("prepare to watch EndpointSlices: %w", err)
	}
	return &Services{client: client, log: log, changed: changed, watched: map[types.NamespacedName]*watchedService{}}, nil
}

// Watch starts watching the Services that are named and stops watching all others.
func (s *Services) Watch(names []types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := make(map[types.NamespacedName]bool, len(names))
	for _, name := range names {
		wanted[name] = true
		if s.watched[name] == nil {
			s.start(name)
		}
	}
	for name, w := range s.watched {
		if !wanted[name] {
			w.stop()
			delete(s.watched, name)
		}
	}
}

// Close stops watching and returns when nothing runs any more.
func (s *Services) Close() {
	s.Watch(nil)
	s.running.Wait()
}

func (s *Services) start(name types.NamespacedName) {
	ctx, stop := context.WithCancel(context.Background())
	w := &watchedService{stop: stop, informer: toolscache.NewSharedIndexInformer(s.slicesOf(name), &discoveryv1.EndpointSlice{}, 0, nil)}
	s.watched[name] = w
	wake := toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { s.changed() }, UpdateFunc: func(_, _ any) { s.changed() }, DeleteFunc: func(any) { s.changed() },
	}
	if _, err := w.informer.AddEventHandler(wake); err != nil {
		s.log.Error(err, "changes of a Service are noticed late", "service", name.String())
	}
	s.running.Go(func() { w.informer.RunWithContext(ctx) })
	s.running.Go(func() {
		// A Service without slices has no event that says that it has been read.
		if toolscache.WaitForCacheSync(ctx.Done(), w.informer.HasSynced) {
			s.changed()
		}
	})
}

// slicesOf lists and watches the EndpointSlices of one Service.
func (s *Services) slicesOf(name types.NamespacedName) *toolscache.ListWatch {
	slices := s.client.EndpointSlices(name.Namespace)
	selector := labels.Set{discoveryv1.LabelServiceName: name.Name}.String()
	return &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = selector
			return slices.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = selector
			return slices.Watch(ctx, o)
		},
	}
}

// Endpoints returns what is known: a Service that has not been read yet is missing, one without
// any EndpointSlice is nil.
func (s *Services) Endpoints() map[types.NamespacedName][]translate.ServiceEndpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[types.NamespacedName][]translate.ServiceEndpoint{}
	for name, w := range s.watched {
		if !w.informer.HasSynced() {
			continue
		}
		var list []*discoveryv1.EndpointSlice
		for _, o := range w.informer.GetStore().List() {
			if slice, ok := o.(*discoveryv1.EndpointSlice); ok {
				list = append(list, slice)
			}
		}
		out[name] = endpointsOf(list)
	}
	return out
}
