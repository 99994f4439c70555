package translate

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
)

// Translate says what a node must do. It never fails: what cannot be done is refused by a
// condition, and what that service did before goes on.
func Translate(in Input) Result {
	r := newRun(in)
	r.chooseDirectors()
	r.build()
	r.settleGroups()
	r.settleConflicts()
	r.keepLastGood()
	r.lookAtCertificates()
	return r.render()
}

// run is the scope of one translation.
type run struct {
	in        Input
	occupied  occupied
	balancers []*balancer
}

// balancer is a balancer under translation.
type balancer struct {
	obj      *v1alpha1.TruePACSBalancer
	name     types.NamespacedName
	director string
	active   bool
	now      time.Time
	refusal  *Refusal
	services []*service
	// gateways are the virtual IPs with role Gateway, each as a service without ports.
	gateways []*service
	// advice is for the administrator although nothing is refused.
	advice []string
}

// all are the services and then the gateways.
func (b *balancer) all() []*service { return slices.Concat(b.services, b.gateways) }

// service is a virtual service under translation.
type service struct {
	owner    *balancer
	spec     *v1alpha1.VirtualService
	index    int
	key      string
	gateway  bool
	refusals []Refusal
	// held are about Secrets whose content is refused while what was read before is served.
	held []heldSecret
	// advice is about the spec; nothing is refused for it.
	advice []string
	// tls is what is decided on certificates; nil: nothing.
	tls *model.TLS
	// certificates are those in use.
	certificates certificates
	// wanted is what the spec asks for; incomplete while there are refusals.
	wanted Kept
	// effective is what this node programs; nil: nothing.
	effective *Kept
	kept      bool
	// past is what to remember although it cannot be programmed now.
	past *Kept
}

// heldSecret is a Secret whose content is refused.
type heldSecret struct {
	Refusal
	secret string
}

func (s *service) refuse(r *Refusal) {
	if r != nil {
		s.refusals = append(s.refusals, *r)
	}
}

func newRun(in Input) *run {
	r := &run{in: in}
	for _, obj := range in.Balancers {
		if obj == nil {
			continue
		}
		b := &balancer{obj: obj, now: in.Now, name: types.NamespacedName{Namespace: obj.Namespace, Name: obj.Name}}
		for i := range obj.Spec.VirtualServices {
			spec := &obj.Spec.VirtualServices[i]
			b.services = append(b.services, &service{owner: b, spec: spec, index: i, key: b.key(spec.Name)})
		}
		b.addGateways()
		r.balancers = append(r.balancers, b)
	}
	slices.SortFunc(r.balancers, olderFirst)
	r.balancers = slices.CompactFunc(r.balancers, func(a, b *balancer) bool { return a.name == b.name })
	r.occupied = findOccupied(in, r.balancers)
	return r
}

// key is the key of a service, pool or address of the balancer.
func (b *balancer) key(name string) string {
	return b.obj.Namespace + "/" + b.obj.Name + "/" + name
}

// olderFirst is the order in which balancers get what they ask for: by creation, then by
// namespace and name.
func olderFirst(a, b *balancer) int {
	return cmp.Or(
		a.obj.CreationTimestamp.Time.Compare(b.obj.CreationTimestamp.Time),
		strings.Compare(a.obj.Namespace, b.obj.Namespace),
		strings.Compare(a.obj.Name, b.obj.Name),
	)
}

// build makes of each service what its spec asks for, or says why it cannot.
func (r *run) build() {
	for _, b := range r.balancers {
		for _, s := range b.all() {
			if b.refusal != nil {
				s.refuse(b.refusal)
			}
			r.buildService(s)
		}
	}
}

func (r *run) buildService(s *service) {
	s.wanted.Director = s.owner.director
	s.wanted.Ports = portsOf(s.spec.Ports)
	s.wanted.PortRanges = rangesOf(s.spec.PortRanges)
	r.buildAddresses(s)
	if s.gateway {
		return
	}
	for _, rule := range serviceRules {
		s.refuse(rule(s))
	}
	r.buildPools(s)
	s.refuse(s.refuseFamilies())
	r.buildLayer4(s)
	r.buildLayer7(s)
	r.buildRealServer(s)
}

func portsOf(ports []int32) []uint16 {
	out := make([]uint16, 0, len(ports))
	for _, p := range ports {
		out = append(out, uint16(p))
	}
	return out
}

// rangesOf are ranges, ascending.
func rangesOf(ranges []v1alpha1.PortRange) []model.PortRange {
	var out []model.PortRange
	for _, r := range ranges {
		out = append(out, model.PortRange{First: uint16(r.First), Last: uint16(r.Last)})
	}
	slices.SortFunc(out, func(a, b model.PortRange) int { return cmp.Compare(a.First, b.First) })
	return out
}
