package host

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// rank dates balancers so that of two that ask for one thing the one known longer has it: what
// was known before keeps its time, what is new comes after it, whatever its file is called.
// Without this a file that comes first by name could take the address of a server that works.
func rank(known, now []*v1alpha1.TruePACSBalancer) {
	if len(known) == 0 {
		return
	}
	times := map[types.NamespacedName]metav1.Time{}
	var last time.Time
	for _, b := range known {
		times[nameOf(b)] = b.CreationTimestamp
		if b.CreationTimestamp.After(last) {
			last = b.CreationTimestamp.Time
		}
	}
	for _, b := range now {
		if t, was := times[nameOf(b)]; was {
			b.CreationTimestamp = t
			continue
		}
		if !b.CreationTimestamp.After(last) {
			b.CreationTimestamp = metav1.NewTime(last.Add(time.Second))
		}
		last = b.CreationTimestamp.Time
	}
}

func nameOf(b *v1alpha1.TruePACSBalancer) types.NamespacedName {
	return types.NamespacedName{Namespace: b.Namespace, Name: b.Name}
}
