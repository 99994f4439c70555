package main

import (
	"fmt"
	"net"
	"strconv"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/e2e/lab/guest"
)

// managementListener moves the management interface into a network namespace of
// its own and listens there, so that the host's own namespace holds the
// interfaces of the test alone: neither the product's view of interfaces and
// routes nor its firewall rules touch the lab's access. The calling goroutine
// must be locked to its thread.
func managementListener(m guest.Management) (net.Listener, error) {
	host, err := netns.Get()
	if err != nil {
		return nil, fmt.Errorf("own network namespace: %w", err)
	}
	defer host.Close()
	private, err := netns.New()
	if err != nil {
		return nil, fmt.Errorf("new network namespace for the management interface: %w", err)
	}
	defer func() { _ = netns.Set(host) }()
	if err := moveManagement(host, private, m); err != nil {
		return nil, err
	}
	address := net.JoinHostPort(m.Address.Addr().String(), strconv.Itoa(guest.ManagementPort))
	listener, err := net.Listen("tcp4", address)
	if err != nil {
		return nil, fmt.Errorf("listen for the lab: %w", err)
	}
	return listener, nil
}

func moveManagement(host, private netns.NsHandle, m guest.Management) error {
	outside, err := netlink.NewHandleAt(host, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer outside.Close()
	link, err := guest.LinkByMAC(outside, m.MAC)
	if err != nil {
		return err
	}
	if err := outside.LinkSetDown(link); err != nil {
		return err
	}
	if err := outside.LinkSetNsFd(link, int(private)); err != nil {
		return fmt.Errorf("move the management interface: %w", err)
	}
	inside, err := netlink.NewHandleAt(private, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer inside.Close()
	if link, err = guest.LinkByMAC(inside, m.MAC); err != nil {
		return err
	}
	nic := guest.NIC{Name: guest.ManagementName, MAC: m.MAC}
	nic.Addresses = append(nic.Addresses, m.Address)
	return guest.Configure(inside, link, nic)
}
