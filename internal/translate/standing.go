package translate

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
)

// settleConflicts refuses services that ask for what others have.
func (r *run) settleConflicts() {
	var claims []Claim
	services := map[string]*service{}
	for _, b := range r.balancers {
		for _, s := range b.all() {
			claims = append(claims, r.claim(s))
			services[s.key] = s
		}
	}
	for key, refusal := range Conflicts(claims) {
		refusal.Message = services[key].where() + ": " + refusal.Message
		services[key].refuse(&refusal)
	}
}

// claim says what a service asks for and holds. What is programmed is known from this node's own
// past and, on all nodes alike, from the balancer's status: by what the director reports that it has
// programmed, of whichever generation, else, of a director that does not report that yet, by the
// conditions.
func (r *run) claim(s *service) Claim {
	c := Claim{
		Service: s.key,
		Gateway: s.gateway,
		Wanted:  demand(s.wanted, s.gateway),
		Refused: len(s.refusals) > 0,
	}
	c.Wanted.Director = s.owner.director
	if k, had := r.in.Previous[s.key]; had && len(k.Addresses) > 0 {
		c.Standing = demand(k, s.gateway)
	} else if p := s.reported(); p != nil {
		c.Standing = standing(p)
	} else if node := programmedBy(s); node != "" {
		c.Standing = c.Wanted
		c.Standing.Director = node
	}
	return c
}

// demand is what a state takes. A gateway takes all of its address.
func demand(k Kept, gateway bool) Demand {
	d := Demand{Director: k.Director}
	for _, addr := range addressesOf(k) {
		if gateway {
			d.Ports = append(d.Ports, Endpoint{addr, model.TCP, 1, 65535}, Endpoint{addr, model.UDP, 1, 65535})
			continue
		}
		d.Ports = append(d.Ports, k.endpoints(addr)...)
	}
	d.Source = k.source()
	if d.Source == "" {
		return d
	}
	for i := range k.Pools {
		for _, m := range members(&k.Pools[i]) {
			if addr, err := netip.ParseAddr(m.Address); err == nil && m.mode == "" {
				d.Servers = append(d.Servers, k.reached(addr, serverPort(&k.Pools[i], &m.Server))...)
			}
		}
	}
	return d
}

// source is the mode of a state whose servers see an address of the director.
func (k *Kept) source() v1alpha1.Mode {
	switch {
	case len(k.Layer7) > 0:
		return v1alpha1.ModeL7SNAT
	case k.Layer4 != nil && k.Layer4.Forwarding == model.SNAT:
		return v1alpha1.ModeL4SNAT
	}
	return ""
}

// endpoints are all ports of a state at one address.
func (k *Kept) endpoints(addr netip.Addr) []Endpoint {
	protocol := model.TCP
	if k.Layer4 != nil {
		protocol = k.Layer4.Protocol
	}
	var out []Endpoint
	for _, port := range k.Ports {
		out = append(out, Endpoint{addr, protocol, port, port})
	}
	for _, r := range k.PortRanges {
		out = append(out, Endpoint{addr, protocol, r.First, r.Last})
	}
	return out
}

// reached are the ports of a server that clients reach; port 0: those that they come to.
func (k *Kept) reached(addr netip.Addr, port uint16) []Endpoint {
	all := k.endpoints(addr)
	if port != 0 && len(all) > 0 {
		return []Endpoint{{addr, all[0].Protocol, port, port}}
	}
	return all
}

// programmedBy returns the node that has programmed the service as its spec is now, according to
// the balancer's status; empty: none, or the status speaks of an older spec.
func programmedBy(s *service) string {
	status := &s.owner.obj.Status
	if s.gateway {
		return activeNode(status, s.spec.VirtualIPs)
	}
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
	for _, s := range b.all() {
		for _, a := range previous[s.key].Addresses {
			if a.Address == addr {
				return true
			}
		}
	}
	for _, s := range b.services {
		if p := s.reported(); p != nil && slices.Contains(p.Addresses, addr.String()) {
			return true
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
		if (s.reported() != nil || programmedBy(s) != "") && hasServer(s.pools(), addr) {
			return true
		}
	}
	return false
}

func hasServer(pools []v1alpha1.ServerPool, addr netip.Addr) bool {
	return slices.ContainsFunc(pools, func(p v1alpha1.ServerPool) bool {
		return slices.ContainsFunc(members(&p), func(m member) bool { return m.Address == addr.String() })
	})
}
