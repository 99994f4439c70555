package lab

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/e2e/lab/guest"
)

const (
	managementBridge = "mgmt"
	managementHome   = "10.255.0.1/16"
)

// connectMachine makes the machine's taps, and its port on the management network.
func (l *Lab) connectMachine(m *Machine) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	bridge, err := l.managementNetwork()
	if err != nil {
		return err
	}
	l.machines++
	m.tap = fmt.Sprintf("m%d", l.machines)
	mac := net.HardwareAddr{0x02, 0x7b, 0xff, 0, byte(l.machines >> 8), byte(l.machines)}
	m.management = guest.Management{MAC: mac.String(), Address: managementAddress(l.machines)}
	if err := l.addTap(m.tap, 1500, bridge); err != nil {
		return err
	}
	if err := l.isolate(m.tap); err != nil {
		return err
	}
	for _, p := range m.ports {
		if err := l.addTap(p.link, p.netw.mtu, p.netw.index); err != nil {
			return err
		}
	}
	return l.addNeighbour(bridge, m.management, mac)
}

// managementNetwork returns the bridge over which the lab reaches its machines.
func (l *Lab) managementNetwork() (int, error) {
	if link, err := l.links.LinkByName(managementBridge); err == nil {
		return link.Attrs().Index, nil
	}
	index, err := l.addBridge(managementBridge, 1500)
	if err != nil {
		return 0, err
	}
	link, err := l.links.LinkByIndex(index)
	if err != nil {
		return 0, err
	}
	address, err := netlink.ParseAddr(managementHome)
	if err != nil {
		return 0, err
	}
	return index, l.links.AddrAdd(link, address)
}

// addTap makes a tap that stays when QEMU ends, so that the machine keeps its port
// through power failures.
func (l *Lab) addTap(name string, mtu, bridge int) error {
	tap := &netlink.Tuntap{
		LinkAttrs: netlink.NewLinkAttrs(), Mode: netlink.TUNTAP_MODE_TAP,
		Flags: netlink.TUNTAP_DEFAULTS | netlink.TUNTAP_VNET_HDR,
	}
	tap.Name = name
	// /dev/net/tun makes the device in the namespace of the calling thread.
	if err := within(l.wire, func() error { return netlink.LinkAdd(tap) }); err != nil {
		return fmt.Errorf("tap %s: %w", name, err)
	}
	link, err := l.links.LinkByName(name)
	if err != nil {
		return fmt.Errorf("tap %s: %w", name, err)
	}
	if err := l.links.LinkSetMTU(link, mtu); err != nil {
		return fmt.Errorf("tap %s: MTU %d: %w", name, mtu, err)
	}
	return l.plug(name, bridge)
}

// isolate keeps machines from reaching each other over the management network.
func (l *Lab) isolate(name string) error {
	link, err := l.links.LinkByName(name)
	if err != nil {
		return err
	}
	if err := l.links.LinkSetIsolated(link, true); err != nil {
		return fmt.Errorf("isolate port %s: %w", name, err)
	}
	return nil
}

// addNeighbour saves the resolution of an address that cannot answer before the
// machine has booted: failed resolutions would delay the first connection.
func (l *Lab) addNeighbour(bridge int, m guest.Management, mac net.HardwareAddr) error {
	err := l.links.NeighAdd(&netlink.Neigh{
		LinkIndex: bridge, Family: unix.AF_INET, State: netlink.NUD_PERMANENT,
		IP: m.Address.Addr().AsSlice(), HardwareAddr: mac,
	})
	if err != nil {
		return fmt.Errorf("neighbour %s: %w", m.Address.Addr(), err)
	}
	return nil
}
