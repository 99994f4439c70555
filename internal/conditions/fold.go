package conditions

import (
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// maxDirectors is how many directors a balancer can have: a pair is not there yet.
const maxDirectors = 1

// Input is all that the status of one balancer depends on.
type Input struct {
	// Balancer is the object, with the status it has now.
	Balancer *v1alpha1.TruePACSBalancer
	// Accepted is the verdict of the rules across balancers on this one; nil: there is none, and
	// the directors' verdict counts alone.
	Accepted *metav1.Condition
	// Directors are the names of the nodes that match spec.directors, in any order.
	Directors []string
	// Elsewhere is, on the plain host Self, the host that is the director if it is another one:
	// its reports are not to be had here.
	Elsewhere, Self string
	// Reports are the reports on this balancer, of any node.
	Reports []v1alpha1.TruePACSReport
	// Leases say for each node until when its agent counts as alive. A node without an entry
	// never had a Lease.
	Leases map[string]time.Time
	// Users say who else in the cluster has a virtual IP, or may get it at any time.
	Users []User
	// Now is the time of the decision.
	Now time.Time
}

// User is somebody in the cluster who has a virtual IP, or may get it at any time.
type User struct {
	// VirtualIP is the name in spec.virtualIPs.
	VirtualIP string
	// Service is namespace/name of a Service that has the address; empty: Pool says it.
	Service string
	// Pool is namespace/name of an IPAddressPool of MetalLB that has the address in Range.
	Pool, Range string
}

// Fold computes the whole status. All known conditions are there from the first visit on. The
// same input gives the same status, so Equal tells whether a write is needed.
func Fold(in Input) v1alpha1.TruePACSBalancerStatus {
	s := newScope(in)
	services := s.services()
	out := v1alpha1.TruePACSBalancerStatus{
		ObservedGeneration: in.Balancer.Generation,
		VirtualIPs:         s.virtualIPs(),
		VirtualServices:    services,
	}
	out.Summary = s.summary(services)
	out.Conditions = Merge(in.Balancer.Status.Conditions, s.conditions(services), in.Balancer.Generation, in.Now)
	return out
}

func (s *scope) conditions(services []v1alpha1.VirtualServiceStatus) []metav1.Condition {
	accepted, resolved, programmed := s.accepted(), s.resolvedRefs(), s.programmed()
	servers, network := s.serversHealthy(services), s.networkSound()
	ready := s.ready(accepted, resolved, programmed, servers)
	stalled := stalled(accepted, resolved, programmed)
	return []metav1.Condition{accepted, resolved, programmed, servers, ready, reconciling(ready, stalled), stalled, network, s.certificatesValid()}
}

// Equal says whether two statuses mean the same, so that nothing need be written.
func Equal(a, b v1alpha1.TruePACSBalancerStatus) bool {
	return equality.Semantic.DeepEqual(a, b)
}
