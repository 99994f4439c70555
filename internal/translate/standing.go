package translate

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// settleConflicts refuses services that ask for what others have.
func (r *run) settleConflicts() {
	var claims []Claim
	services := map[string]*service{}
	for _, b := range r.balancers {
		for _, s := range b.services {
			claims = append(claims, r.claim(s))
			services[s.key] = s
		}
	}
	for key, refusal := range Conflicts(claims) {
		refusal.Message = "spec.virtualServices[" + services[key].spec.Name + "]: " + refusal.Message
		services[key].refuse(&refusal)
	}
}

// claim says what a service asks for and holds. What is programmed is known from this node's own
// past and, on all nodes alike, from the balancer's status.
func (r *run) claim(s *service) Claim {
	c := Claim{
		Service:  s.key,
		Director: s.owner.director,
		Wanted:   endpoints(s.wanted),
		Refused:  len(s.refusals) > 0,
	}
	if k, had := r.in.Previous[s.key]; had && len(k.Addresses) > 0 {
		c.Standing, c.StandingDirector = endpoints(k), k.Director
	} else if node := programmedBy(s); node != "" {
		c.Standing, c.StandingDirector = c.Wanted, node
	}
	return c
}

// endpoints are all addresses with all ports.
func endpoints(k Kept) []netip.AddrPort {
	var out []netip.AddrPort
	for _, addr := range addressesOf(k) {
		for _, port := range k.Ports {
			out = append(out, netip.AddrPortFrom(addr, port))
		}
	}
	return out
}

// programmedBy returns the node that has programmed the service as its spec is now, according to
// the balancer's status; empty: none, or the status speaks of an older spec.
func programmedBy(s *service) string {
	status := &s.owner.obj.Status
	if status.ObservedGeneration != s.owner.obj.Generation {
		return ""
	}
	for i := range status.VirtualServices {
		v := &status.VirtualServices[i]
		if v.Name == s.spec.Name && meta.IsStatusConditionTrue(v.Conditions, v1alpha1.ConditionAccepted) &&
			meta.IsStatusConditionTrue(v.Conditions, v1alpha1.ConditionProgrammed) {
			return activeNode(status, s.spec.VirtualIPs)
		}
	}
	return ""
}

// activeNode is the node that holds the first of some virtual IPs that is held.
func activeNode(status *v1alpha1.TruePACSBalancerStatus, names []string) string {
	for _, name := range names {
		for _, v := range status.VirtualIPs {
			if v.Name == name && v.ActiveNode != "" {
				return v.ActiveNode
			}
		}
	}
	return ""
}

// holds tells whether an address is programmed for a balancer, here or according to its status.
func (b *balancer) holds(addr netip.Addr, previous map[string]Kept) bool {
	for _, s := range b.services {
		for _, a := range previous[s.key].Addresses {
			if a.Address == addr {
				return true
			}
		}
	}
	for _, v := range b.obj.Status.VirtualIPs {
		if v.ActiveNode != "" && v.Address == addr.String() {
			return true
		}
	}
	return false
}

// serves tells whether a service of a balancer is programmed, here or according to its status,
// with a server at an address.
func (b *balancer) serves(addr netip.Addr, previous map[string]Kept) bool {
	for _, s := range b.services {
		if hasServer(previous[s.key].Pools, addr) {
			return true
		}
		if programmedBy(s) != "" && hasServer(s.pools(), addr) {
			return true
		}
	}
	return false
}

func hasServer(pools []v1alpha1.ServerPool, addr netip.Addr) bool {
	return slices.ContainsFunc(pools, func(p v1alpha1.ServerPool) bool {
		return slices.ContainsFunc(p.Servers, func(s v1alpha1.Server) bool { return s.Address == addr.String() })
	})
}
