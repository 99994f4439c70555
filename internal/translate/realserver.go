package translate

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/truepacs/balancer/dataplane/model"
)

// buildRealServer finds out whether this node is itself a server that gets packets to the virtual
// IPs, by direct routing or a tunnel: it then has to accept them without answering ARP or
// neighbour solicitations for them. The director needs no such thing, its kernel delivers to
// itself.
func (r *run) buildRealServer(s *service) {
	if s.forwarding() == "" || s.owner.active || s.owner.director == "" {
		return
	}
	links := r.ownInterfaces(s)
	for _, addr := range slices.Concat(addressesOf(s.wanted), r.stillHeld(s)) {
		if link := links[addr.Is6()]; link != "" {
			s.wanted.RealServer = append(s.wanted.RealServer, model.LoopbackVIP{Address: addr, Interface: link})
		}
	}
	s.wanted.RealServer = sortLoopback(s.wanted.RealServer)
}

// ownInterfaces are the interfaces that have the address of one of the service's servers, by
// whether that is IPv6; empty: this node is none of them.
func (r *run) ownInterfaces(s *service) map[bool]string {
	out := map[bool]string{}
	for i := range s.wanted.Pools {
		for _, m := range members(&s.wanted.Pools[i]) {
			addr, err := netip.ParseAddr(m.Address)
			if err != nil || out[addr.Is6()] != "" || !keepsDestination(m.forwarding(s.forwarding())) {
				continue
			}
			out[addr.Is6()] = owning(r.in.Node, addr)
		}
	}
	return out
}

// stillHeld are addresses that the director holds for the service although its spec has new
// ones, because it refused them: the servers must go on accepting what clients still use.
func (r *run) stillHeld(s *service) []netip.Addr {
	var out []netip.Addr
	for _, v := range s.owner.obj.Status.VirtualIPs {
		addr, err := netip.ParseAddr(v.Address)
		if err != nil || v.ActiveNode == "" || v.ActiveNode == r.in.Node.Name || !slices.Contains(s.spec.VirtualIPs, v.Name) {
			continue
		}
		if r.occupied.refuseVIP(s.owner, v.Name, addr) == nil {
			out = append(out, addr)
		}
	}
	return out
}

// sortLoopback puts addresses in order, each once; the first interface by name has it.
func sortLoopback(vips []model.LoopbackVIP) []model.LoopbackVIP {
	slices.SortFunc(vips, func(a, b model.LoopbackVIP) int {
		if c := a.Address.Compare(b.Address); c != 0 {
			return c
		}
		return strings.Compare(a.Interface, b.Interface)
	})
	return slices.CompactFunc(vips, func(a, b model.LoopbackVIP) bool { return a.Address == b.Address })
}
