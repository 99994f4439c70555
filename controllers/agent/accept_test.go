package agent

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/api/v1alpha1"
)

func balancers(names ...string) []*v1alpha1.TruePACSBalancer {
	var list []*v1alpha1.TruePACSBalancer
	for _, name := range names {
		list = append(list, &v1alpha1.TruePACSBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}})
	}
	return list
}

func TestAccept(t *testing.T) {
	before := accepted{balancers: balancers("a", "b"), origin: "crd-1"}
	here := map[string]bool{"ns": true}
	seen := map[types.NamespacedName]bool{{Namespace: "ns", Name: "b"}: true}
	for name, tc := range map[string]struct {
		before accepted
		view   view
		want   []string
		lost   bool
	}{
		"first list":                            {accepted{}, view{complete: true, listed: balancers("a"), origin: "crd-1"}, []string{"a"}, false},
		"nothing new":                           {before, view{complete: true, listed: balancers("a", "b"), origin: "crd-1"}, []string{"a", "b"}, false},
		"a new one":                             {before, view{complete: true, listed: balancers("a", "b", "c"), origin: "crd-1"}, []string{"a", "b", "c"}, false},
		"delete event":                          {before, view{complete: true, listed: balancers("a"), origin: "crd-1", deleted: seen}, []string{"a"}, false},
		"delete event, namespace gone too":      {before, view{complete: true, listed: balancers("a"), origin: "crd-1", deleted: seen}, []string{"a"}, false},
		"absent while the namespace exists":     {before, view{complete: true, listed: balancers("a"), origin: "crd-1", namespaces: here}, []string{"a"}, false},
		"last one deleted":                      {accepted{balancers: balancers("b"), origin: "crd-1"}, view{complete: true, origin: "crd-1", deleted: seen, namespaces: here}, nil, false},
		"absent with its namespace":             {before, view{complete: true, listed: balancers("a"), origin: "crd-1"}, []string{"a", "b"}, true},
		"list failed":                           {before, view{listed: nil, origin: "crd-1", namespaces: here}, []string{"a", "b"}, true},
		"CRD removed, delete events came":       {before, view{complete: true, listed: balancers("a"), deleted: seen, namespaces: here}, []string{"a", "b"}, true},
		"CRD removed and made anew":             {before, view{complete: true, origin: "crd-2", namespaces: here}, []string{"a", "b"}, true},
		"CRD made anew, balancers applied":      {before, view{complete: true, listed: balancers("a", "b"), origin: "crd-2", namespaces: here}, []string{"a", "b"}, false},
		"CRD made anew, one balancer dropped":   {before, view{complete: true, listed: balancers("a"), origin: "crd-2", namespaces: here}, []string{"a"}, false},
		"etcd empty, everything is gone":        {before, view{complete: true}, []string{"a", "b"}, true},
		"etcd empty but for a new CRD":          {before, view{complete: true, origin: "crd-2"}, []string{"a", "b"}, true},
		"state of a version without origin":     {accepted{balancers: balancers("a")}, view{complete: true, listed: balancers("a"), origin: "crd-1"}, []string{"a"}, false},
		"changed spec wins over remembered one": {before, view{complete: true, listed: balancers("a", "b"), origin: "crd-1"}, []string{"a", "b"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := accept(tc.before, tc.view)
			var names []string
			for _, b := range got.balancers {
				names = append(names, b.Name)
			}
			slices.Sort(names)
			if diff := cmp.Diff(tc.want, names); diff != "" {
				t.Errorf("balancers (-want +got):\n%s", diff)
			}
			if (got.lost != "") != tc.lost {
				t.Errorf("lost: %q", got.lost)
			}
		})
	}
}
