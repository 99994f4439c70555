package netif

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
)

// Interface is a network interface of the host as translation sees it.
type Interface struct {
	// Name is the interface's name and Index its number.
	Name  string
	Index int
	// MAC is the hardware address; empty if there is none.
	MAC net.HardwareAddr
	// MTU is the largest packet in bytes.
	MTU int
	// Up tells whether the administrator has switched the interface on, Carrier whether it can
	// carry packets now.
	Up      bool
	Carrier bool
	// Loopback tells whether it is lo.
	Loopback bool
	// Addresses are the host's own addresses with their networks, without those that this
	// program added; ascending. An address that the administrator added for a virtual IP is
	// one of the host's own.
	Addresses []netip.Prefix
	// Gateways are the default gateways behind this interface, ascending.
	Gateways []netip.Addr
}

// Interfaces returns the host's interfaces by ascending index.
func (d *Driver) Interfaces(ctx context.Context) ([]Interface, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen, err := d.observe(ctx)
	if err != nil {
		return nil, err
	}
	gateways, err := d.kernel.Gateways()
	if err != nil {
		return nil, Explain("netif", err)
	}
	return assemble(seen, gateways), nil
}

func assemble(seen observed, gateways []Gateway) []Interface {
	found := make([]Interface, 0, len(seen.links))
	for _, l := range seen.links {
		found = append(found, Interface{
			Name: l.Name, Index: l.Index, MAC: l.MAC, MTU: l.MTU,
			Up: l.Up, Carrier: l.Carrier, Loopback: l.Loopback,
			Addresses: addressesOf(l.Index, seen.addresses),
			Gateways:  behind(l.Index, gateways),
		})
	}
	slices.SortFunc(found, func(a, b Interface) int { return cmp.Compare(a.Index, b.Index) })
	return found
}

func addressesOf(index int, all []Address) []netip.Prefix {
	var own []netip.Prefix
	for _, a := range all {
		if a.Index == index && !Ours(a) {
			own = append(own, a.Prefix)
		}
	}
	slices.SortFunc(own, netip.Prefix.Compare)
	return own
}

func behind(index int, all []Gateway) []netip.Addr {
	var found []netip.Addr
	for _, g := range all {
		if g.Index == index {
			found = append(found, g.Address)
		}
	}
	slices.SortFunc(found, netip.Addr.Compare)
	return slices.Compact(found)
}
