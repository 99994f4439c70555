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
	accept := func(addr netip.Addr, declared []model.Match) {
		if link := links[addr.Is6()]; link.name != "" {
			s.wanted.RealServer = append(s.wanted.RealServer, model.LoopbackVIP{
				Address: addr, Interface: link.name, Forwarding: link.forwarding, Declared: declared,
			})
		}
	}
	for _, addr := range addressesOf(s.wanted) {
		accept(addr, []model.Match{{
			Addresses: []netip.Addr{addr}, Protocol: protocol(s.spec.Protocol), Ports: s.wanted.Ports, PortRanges: s.wanted.PortRanges,
		}})
	}
	for _, addr := range r.stillHeld(s) {
		accept(addr, nil)
	}
	s.wanted.RealServer = sortLoopback(s.wanted.RealServer)
}

// ownLink is an interface of this node with the address of a server, and how packets come to it.
type ownLink struct {
	name       string
	forwarding model.Forwarding
}

// ownInterfaces are the interfaces that have the address of one of the service's servers, by
// whether that is IPv6; empty: this node is none of them.
func (r *run) ownInterfaces(s *service) map[bool]ownLink {
	out := map[bool]ownLink{}
	for i := range s.wanted.Pools {
		for _, m := range members(&s.wanted.Pools[i]) {
			addr, err := netip.ParseAddr(m.Address)
			way := m.forwarding(s.forwarding())
			if err != nil || out[addr.Is6()].name != "" || !keepsDestination(way) {
				continue
			}
			out[addr.Is6()] = ownLink{owning(r.in.Node, addr), way}
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

// sortLoopback puts addresses in order, each once; the first interface by name has it. What several
// services declare for one address is joined; one that declares nothing leaves all ports open.
func sortLoopback(vips []model.LoopbackVIP) []model.LoopbackVIP {
	slices.SortFunc(vips, func(a, b model.LoopbackVIP) int {
		if c := a.Address.Compare(b.Address); c != 0 {
			return c
		}
		return strings.Compare(a.Interface, b.Interface)
	})
	var out []model.LoopbackVIP
	for _, v := range vips {
		n := len(out) - 1
		if n < 0 || out[n].Address != v.Address {
			out = append(out, v)
			continue
		}
		if v.Forwarding == model.Tunnel {
			out[n].Forwarding = v.Forwarding // what a tunnel needs does not hinder direct routing
		}
		if len(out[n].Declared) == 0 || len(v.Declared) == 0 {
			out[n].Declared = nil
			continue
		}
		out[n].Declared = slices.Concat(out[n].Declared, v.Declared)
	}
	return out
}
