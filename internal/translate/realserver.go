package translate

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
)

// buildRealServer finds out whether this node is itself a server of a direct-routing service: it
// then has to accept the virtual IPs without answering ARP for them. The director needs no such
// thing, its kernel delivers to itself.
func (r *run) buildRealServer(s *service) {
	if s.spec.Mode != v1alpha1.ModeL4DR || s.owner.active || s.owner.director == "" {
		return
	}
	link := r.ownInterface(s)
	if link == "" {
		return
	}
	for _, addr := range addressesOf(s.wanted) {
		s.wanted.RealServer = append(s.wanted.RealServer, model.LoopbackVIP{Address: addr, Interface: link})
	}
	s.wanted.RealServer = append(s.wanted.RealServer, r.stillHeld(s, link)...)
	s.wanted.RealServer = sortLoopback(s.wanted.RealServer)
}

// ownInterface is the interface that has the address of one of the service's servers; empty:
// this node is none of them.
func (r *run) ownInterface(s *service) string {
	for i := range s.wanted.Pools {
		for _, srv := range s.wanted.Pools[i].Servers {
			if addr, err := netip.ParseAddr(srv.Address); err == nil {
				if link := owning(r.in.Node, addr); link != "" {
					return link
				}
			}
		}
	}
	return ""
}

// stillHeld are addresses that the director holds for the service although its spec has new
// ones, because it refused them: the servers must go on accepting what clients still use.
func (r *run) stillHeld(s *service, link string) []model.LoopbackVIP {
	var out []model.LoopbackVIP
	for _, v := range s.owner.obj.Status.VirtualIPs {
		addr, err := netip.ParseAddr(v.Address)
		if err != nil || v.ActiveNode == "" || v.ActiveNode == r.in.Node.Name || !slices.Contains(s.spec.VirtualIPs, v.Name) {
			continue
		}
		if r.occupied.refuseVIP(s.owner, v.Name, addr) == nil {
			out = append(out, model.LoopbackVIP{Address: addr, Interface: link})
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
