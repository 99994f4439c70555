package preflight

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Exit is a route of the main table to where clients may be: the default route, or one by a router.
type Exit struct {
	// To is where it leads; the whole of IPv4: everywhere.
	To netip.Prefix
	// Interfaces are the names of those that it leaves by; several share the packets.
	Interfaces []string
	// Metric: the smallest one is used of those to one place.
	Metric int
}

// Exits returns the IPv4 routes by which clients may be reached. Routes into the tunnels and bridges
// of a network of containers lead to no clients of a virtual IP; only as default route they count.
func (Host) Exits() ([]Exit, error) {
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	return exits(routes, links), nil
}

func exits(routes []netlink.Route, links []netlink.Link) []Exit {
	byIndex := make(map[int]netlink.Link, len(links))
	for _, l := range links {
		byIndex[l.Attrs().Index] = l
	}
	var out []Exit
	for i := range routes {
		r := &routes[i]
		to := prefixOf(r.Dst)
		if r.Type != unix.RTN_UNICAST {
			continue
		}
		e := Exit{To: to, Metric: r.Priority}
		hops := append([]*netlink.NexthopInfo{{LinkIndex: r.LinkIndex, Gw: r.Gw}}, r.MultiPath...)
		for _, hop := range hops {
			l := byIndex[hop.LinkIndex]
			if l != nil && (to.Bits() == 0 || hop.Gw != nil && outside(l)) {
				e.Interfaces = append(e.Interfaces, l.Attrs().Name)
			}
		}
		if len(e.Interfaces) > 0 {
			out = append(out, e)
		}
	}
	return out
}

func prefixOf(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	a, _ := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), ones)
}

// outside tells whether an interface is one to a network of cables: a card, or what is made of cards.
func outside(l netlink.Link) bool {
	_, card := l.(*netlink.Device)
	return card || slices.Contains([]string{"vlan", "bond", "team", "bridge"}, l.Type())
}

// Source is how this host reaches an address: the interface by name and the address that it asks from.
// ok is false if the address is behind a router, is this host's own or cannot be reached.
func (Host) Source(to netip.Addr) (name string, from netip.Addr, ok bool, err error) {
	routes, err := netlink.RouteGet(to.AsSlice())
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) || err == nil && len(routes) == 0 {
		return "", netip.Addr{}, false, nil
	}
	if err != nil {
		return "", netip.Addr{}, false, fmt.Errorf("find the way to %s: %w", to, err)
	}
	r := routes[0]
	source, valid := netip.AddrFromSlice(r.Src)
	if r.Type != unix.RTN_UNICAST || r.Gw != nil || r.Via != nil || !valid || source.Unmap() == to {
		return "", netip.Addr{}, false, nil
	}
	l, err := netlink.LinkByIndex(r.LinkIndex)
	if err != nil {
		return "", netip.Addr{}, false, fmt.Errorf("find the way to %s: %w", to, err)
	}
	return l.Attrs().Name, source.Unmap(), true, nil
}
