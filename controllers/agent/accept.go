package agent

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// view is what the API server shows of the balancers at one moment.
type view struct {
	// complete says that the list is from a successful read; otherwise nothing is known.
	complete bool
	// listed are the balancers.
	listed []*v1alpha1.TruePACSBalancer
	// deleted are balancers for which a delete event was seen.
	deleted map[types.NamespacedName]bool
	// origin is the UID of the CRD; empty: it is not there, is being removed, or cannot be read.
	origin string
	// namespaces are those that exist, of the balancers that are missing.
	namespaces map[string]bool
}

// accepted is what the node goes on with.
type accepted struct {
	balancers []*v1alpha1.TruePACSBalancer
	// origin is the UID of the CRD that the balancers came from.
	origin string
	// lost says why balancers that are not shown any more are kept; empty: there are none.
	lost string
}

// accept decides which balancers the node goes on with. Absence is not deletion: a balancer goes
// only when its deletion was seen, or a complete list lacks it while its namespace exists, and in
// both cases the CRD is the one it came from. A CRD that was removed takes its objects with it,
// an emptied etcd shows nothing: in both cases hospitals keep working.
func accept(before accepted, v view) accepted {
	if !v.complete {
		before.lost = "the API server does not show the balancers"
		return before
	}
	if v.origin == "" || (before.origin != "" && v.origin != before.origin && len(v.listed) == 0) {
		before.balancers = merge(before.balancers, v.listed)
		before.lost = lostMessage("the CustomResourceDefinition truepacsbalancers.lb.truepacs.io is gone or new; install the chart truepacs-crds and apply the balancers again", before.balancers, v)
		return before
	}
	var kept []*v1alpha1.TruePACSBalancer
	for _, b := range before.balancers {
		if !has(v.listed, b) && !v.mayGo(b) {
			kept = append(kept, b)
		}
	}
	next := accepted{balancers: merge(kept, v.listed), origin: v.origin}
	if len(kept) > 0 {
		next.lost = lostMessage("their namespaces are gone without a delete of the balancers", kept, v)
	}
	return next
}

func (v view) mayGo(b *v1alpha1.TruePACSBalancer) bool {
	return v.deleted[nameOf(b)] || v.namespaces[b.Namespace]
}

// merge returns listed and those of old that listed lacks.
func merge(old, listed []*v1alpha1.TruePACSBalancer) []*v1alpha1.TruePACSBalancer {
	out := slices.Clone(listed)
	for _, b := range old {
		if !has(listed, b) {
			out = append(out, b)
		}
	}
	return out
}

func has(list []*v1alpha1.TruePACSBalancer, b *v1alpha1.TruePACSBalancer) bool {
	return slices.ContainsFunc(list, func(other *v1alpha1.TruePACSBalancer) bool { return nameOf(other) == nameOf(b) })
}

func nameOf(b *v1alpha1.TruePACSBalancer) types.NamespacedName {
	return types.NamespacedName{Namespace: b.Namespace, Name: b.Name}
}

func lostMessage(cause string, kept []*v1alpha1.TruePACSBalancer, v view) string {
	var names []string
	for _, b := range kept {
		if !has(v.listed, b) {
			names = append(names, nameOf(b).String())
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return fmt.Sprintf("balancers %s are not shown any more and go on as they were: %s", strings.Join(names, ", "), cause)
}
