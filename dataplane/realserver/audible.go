package realserver

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif"
)

// Audible returns the names, ascending, of the interfaces that must be silent about the IPv4
// addresses among all: those that face the director, and every other one that the director's
// segment might hear, for Linux answers ARP for an address on lo at each interface that is asked.
// Those are
//   - network cards and what stands for one, whatever addresses they have: two cards may be
//     plugged into one switch;
//   - interfaces of any kind with an address of a facing interface's network or of a network
//     that holds the virtual address.
//
// The interfaces of containers and virtual machines are left alone otherwise: some container
// networks live from a host that answers for the addresses of its other interfaces. So are ports
// of bridges and bonds, whose packets arrive at the bridge. Interfaces that are down count, lest
// they speak when they come up.
func Audible(links map[string]netif.Link, addresses []netif.Address, all []model.LoopbackVIP) []string {
	facing, virtual := map[string]bool{}, []netip.Addr{}
	for _, v := range all {
		if v.Address.Is4() {
			facing[v.Interface] = true
			virtual = append(virtual, v.Address)
		}
	}
	if len(facing) == 0 {
		return nil
	}
	names := maps.Clone(facing)
	near := networksOf(addresses, func(name string) bool { return facing[name] })
	for name, l := range links {
		if l.Loopback || l.Master != 0 || len(l.MAC) != 6 {
			continue
		}
		own := networksOf(addresses, func(n string) bool { return n == name })
		if standsForCard(l.Kind) || meet(own, near, virtual) {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// standsForCard tells whether an interface of that driver leads to a network outside the host.
func standsForCard(kind string) bool {
	return slices.Contains([]string{"", "vlan", "bond", "team", "macvlan"}, kind)
}

// networksOf returns the IPv4 networks of interfaces; host prefixes are none.
func networksOf(addresses []netif.Address, of func(name string) bool) []netip.Prefix {
	var found []netip.Prefix
	for _, a := range addresses {
		if of(a.Interface) && a.Prefix.Addr().Is4() && !a.Prefix.IsSingleIP() {
			found = append(found, a.Prefix)
		}
	}
	return found
}

// meet tells whether one of the networks overlaps others or holds an address.
func meet(networks, others []netip.Prefix, addresses []netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool {
		return slices.ContainsFunc(others, n.Overlaps) || slices.ContainsFunc(addresses, n.Contains)
	})
}
