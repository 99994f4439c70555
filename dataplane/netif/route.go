package netif

import (
	"fmt"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
)

// Routes returns a function that names the interface by which the host reaches an address. It is for
// many addresses at one moment: the kernel is asked once for each and once for the names of
// interfaces. It must not be used from several goroutines.
func (r Rtnetlink) Routes() func(to netip.Addr) (string, error) {
	return memoised(r.names, func(to netip.Addr) ([]netlink.Route, error) { return netlink.RouteGet(to.AsSlice()) })
}

// memoised asks for names, and for routes of each address, once.
func memoised(names func() (map[int]string, error), routes func(netip.Addr) ([]netlink.Route, error)) func(netip.Addr) (string, error) {
	type answer struct {
		name string
		err  error
	}
	once := sync.OnceValues(names)
	known := map[netip.Addr]answer{}
	return func(to netip.Addr) (string, error) {
		a, asked := known[to]
		if !asked {
			a.name, a.err = nameOf(to, once, routes)
			known[to] = a
		}
		return a.name, a.err
	}
}

func nameOf(to netip.Addr, names func() (map[int]string, error), get func(netip.Addr) ([]netlink.Route, error)) (string, error) {
	routes, err := get(to)
	if err != nil {
		return "", fmt.Errorf("find the way to %s: %w: give this host a route to it", to, err)
	}
	all, err := names()
	if err != nil {
		return "", err
	}
	for _, route := range routes {
		if name := all[route.LinkIndex]; name != "" {
			return name, nil
		}
	}
	return "", fmt.Errorf("find the way to %s: the kernel names no interface: give this host a route to it", to)
}
