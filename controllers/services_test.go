package controllers_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	agentctl "github.com/truepacs/balancer/controllers/agent"
	"github.com/truepacs/balancer/internal/translate"
)

// requests remembers what was asked of the API server.
type requests struct {
	mu   sync.Mutex
	urls []url.URL
}

// wrap remembers what goes through next.
func (r *requests) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(q *http.Request) (*http.Response, error) {
		r.mu.Lock()
		r.urls = append(r.urls, *q.URL)
		r.mu.Unlock()
		return next.RoundTrip(q)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(q *http.Request) (*http.Response, error) { return f(q) }

// slice is an EndpointSlice of a Service with one endpoint.
func slice(ns, service, name, pod, address string) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("dicom"), Port: ptr.To(int32(11112))}},
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{address}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: pod},
			Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
		}},
	}
}

func ready(pod, address string) translate.ServiceEndpoint {
	return translate.ServiceEndpoint{
		Name: pod, Address: netip.MustParseAddr(address), Ports: map[string]uint16{"dicom": 11112}, Ready: true, Serving: true,
	}
}

// TestServicesAreWatchedByName: with the rights of the agents' ServiceAccount, endpoints of the
// Services that are named come, change and go, and the API server is asked about no others.
func TestServicesAreWatchedByName(t *testing.T) {
	ns := namespace(t)
	for _, s := range []*discoveryv1.EndpointSlice{
		slice(ns, "archive", "archive-1", "a", "10.0.5.1"), slice(ns, "other", "other-1", "x", "10.0.5.9"),
	} {
		must(t, cluster.admin.Create(t.Context(), s))
	}
	asked, log := &requests{}, &logbook{}
	cfg := configOf(t, "truepacs-agent")
	cfg.Wrap(asked.wrap)
	woken := make(chan struct{}, 1)
	services, err := agentctl.NewServices(cfg, log.logger(), func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	})
	must(t, err)
	archive, empty := types.NamespacedName{Namespace: ns, Name: "archive"}, types.NamespacedName{Namespace: ns, Name: "nothing"}
	services.Watch([]types.NamespacedName{archive, empty, archive})
	known := func(what string, want map[types.NamespacedName][]translate.ServiceEndpoint) {
		t.Helper()
		eventually(t, what, func(context.Context) error {
			diff := cmp.Diff(want, services.Endpoints(), cmpopts.EquateComparable(netip.Addr{}),
				cmpopts.SortSlices(func(a, b translate.ServiceEndpoint) bool { return a.Name < b.Name }))
			if diff != "" {
				return fmt.Errorf("-want +got:\n%s", diff)
			}
			return nil
		})
	}
	type all = map[types.NamespacedName][]translate.ServiceEndpoint
	known("the first endpoints", all{archive: {ready("a", "10.0.5.1")}, empty: nil})
	<-woken

	second := slice(ns, "archive", "archive-2", "b", "10.0.5.2")
	must(t, cluster.admin.Create(t.Context(), second))
	known("a second slice", all{archive: {ready("a", "10.0.5.1"), ready("b", "10.0.5.2")}, empty: nil})
	<-woken

	second.Endpoints[0].Conditions = discoveryv1.EndpointConditions{Ready: ptr.To(false), Serving: ptr.To(true), Terminating: ptr.To(true)}
	must(t, cluster.admin.Update(t.Context(), second))
	ends := ready("b", "10.0.5.2")
	ends.Ready, ends.Terminating = false, true
	known("a pod that ends", all{archive: {ready("a", "10.0.5.1"), ends}, empty: nil})

	must(t, cluster.admin.Delete(t.Context(), second))
	known("a slice that is gone", all{archive: {ready("a", "10.0.5.1")}, empty: nil})
	services.Watch([]types.NamespacedName{archive})
	known("one Service less", all{archive: {ready("a", "10.0.5.1")}})
	services.Close()
	if left := services.Endpoints(); len(left) > 0 {
		t.Errorf("after Close there is %v", left)
	}
	for _, u := range asked.urls {
		selector := u.Query().Get("labelSelector")
		if !strings.Contains(u.Path, "/namespaces/"+ns+"/endpointslices") || (selector != "kubernetes.io/service-name=archive" && selector != "kubernetes.io/service-name=nothing") {
			t.Errorf("the API server was asked for %s", u.String())
		}
	}
	if len(asked.urls) < 4 {
		t.Errorf("only %d requests were seen", len(asked.urls))
	}
	if text := log.text(); text != "" {
		t.Errorf("logged: %s", text)
	}
}
