package netif

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Route returns the name of the interface by which the host reaches an address.
func (r Rtnetlink) Route(to netip.Addr) (string, error) {
	routes, err := netlink.RouteGet(to.AsSlice())
	if err != nil {
		return "", fmt.Errorf("find the way to %s: %w: give this host a route to it", to, err)
	}
	names, err := r.names()
	if err != nil {
		return "", err
	}
	for _, route := range routes {
		if name := names[route.LinkIndex]; name != "" {
			return name, nil
		}
	}
	return "", fmt.Errorf("find the way to %s: the kernel names no interface: give this host a route to it", to)
}
