package guest

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// LinkByMAC finds an interface by its hardware address.
func LinkByMAC(h *netlink.Handle, mac string) (netlink.Link, error) {
	links, err := h.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	for _, link := range links {
		if strings.EqualFold(link.Attrs().HardwareAddr.String(), mac) {
			return link, nil
		}
	}
	return nil, fmt.Errorf("no interface has the hardware address %s: is the driver loaded?", mac)
}

// ConfigureAll names and sets up the interfaces. Names are given in two steps,
// because the wanted name of one may be another's present name.
func ConfigureAll(h *netlink.Handle, nics []NIC) error {
	for i, nic := range nics {
		link, err := LinkByMAC(h, nic.MAC)
		if err != nil {
			return err
		}
		if err := rename(h, link, fmt.Sprintf("lab-tmp%d", i)); err != nil {
			return err
		}
	}
	for _, nic := range nics {
		link, err := LinkByMAC(h, nic.MAC)
		if err != nil {
			return err
		}
		if err := Configure(h, link, nic); err != nil {
			return err
		}
	}
	return nil
}

func rename(h *netlink.Handle, link netlink.Link, name string) error {
	if err := h.LinkSetDown(link); err != nil {
		return fmt.Errorf("interface %s down: %w", link.Attrs().Name, err)
	}
	if err := h.LinkSetName(link, name); err != nil {
		return fmt.Errorf("rename interface %s to %s: %w", link.Attrs().Name, name, err)
	}
	return nil
}

// Configure gives an interface its name, MTU, addresses and default routes and
// brings it up. Addresses skip duplicate address detection, so that IPv6 is usable
// at once.
func Configure(h *netlink.Handle, link netlink.Link, nic NIC) error {
	if link.Attrs().Name != nic.Name {
		if err := rename(h, link, nic.Name); err != nil {
			return err
		}
	}
	if nic.MTU > 0 {
		if err := h.LinkSetMTU(link, nic.MTU); err != nil {
			return fmt.Errorf("interface %s: MTU %d: %w", nic.Name, nic.MTU, err)
		}
	}
	for _, prefix := range nic.Addresses {
		if err := h.AddrAdd(link, address(prefix)); err != nil {
			return fmt.Errorf("interface %s: address %s: %w", nic.Name, prefix, err)
		}
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("interface %s up: %w", nic.Name, err)
	}
	return addGateways(h, link, nic)
}

func addGateways(h *netlink.Handle, link netlink.Link, nic NIC) error {
	for _, gateway := range nic.Gateways {
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway.AsSlice()}
		if err := h.RouteAdd(route); err != nil {
			return fmt.Errorf("interface %s: default route by %s: %w", nic.Name, gateway, err)
		}
	}
	return nil
}

func address(prefix netip.Prefix) *netlink.Addr {
	mask := net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: mask}}
	if prefix.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	return addr
}

// LoopbackUp brings lo up, which a new network namespace leaves down.
func LoopbackUp(h *netlink.Handle) error {
	lo, err := h.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("interface lo: %w", err)
	}
	if err := h.LinkSetUp(lo); err != nil {
		return fmt.Errorf("interface lo up: %w", err)
	}
	return nil
}
