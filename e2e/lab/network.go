package lab

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/truepacs/balancer/e2e/lab/guest"
)

// Network is one link-layer segment: a bridge without address.
type Network struct {
	name   string
	mtu    int
	bridge string
	index  int
}

// Name is the name the network was made with.
func (n *Network) Name() string { return n.name }

// NetworkOption changes a network from the defaults.
type NetworkOption func(*Network)

// MTU sets the largest packet of the network in bytes; the default is 1500.
func MTU(bytes int) NetworkOption {
	return func(n *Network) { n.mtu = bytes }
}

// Network makes a network: a bridge in the lab's own namespace, that floods
// multicast, learns addresses and runs no spanning tree.
func (l *Lab) Network(name string, options ...NetworkOption) (*Network, error) {
	if err := l.claim(name); err != nil {
		return nil, err
	}
	n := &Network{name: name, mtu: 1500}
	for _, option := range options {
		option(n)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ports++
	n.bridge = fmt.Sprintf("br%d", l.ports)
	index, err := l.addBridge(n.bridge, n.mtu)
	if err != nil {
		return nil, fmt.Errorf("lab: network %s: %w", name, err)
	}
	n.index = index
	return n, nil
}

func (l *Lab) addBridge(name string, mtu int) (int, error) {
	snooping := false
	bridge := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs(), MulticastSnooping: &snooping}
	bridge.Name, bridge.MTU = name, mtu
	if err := l.links.LinkAdd(bridge); err != nil {
		return 0, fmt.Errorf("add bridge: %w", err)
	}
	link, err := l.links.LinkByName(name)
	if err != nil {
		return 0, fmt.Errorf("find bridge: %w", err)
	}
	if err := l.links.LinkSetUp(link); err != nil {
		return 0, fmt.Errorf("bridge up: %w", err)
	}
	return link.Attrs().Index, nil
}

// NIC is an interface of a host and the network it is plugged into.
type NIC struct {
	Network *Network
	// Addresses with their prefix length, IPv4 and IPv6.
	Addresses []netip.Prefix
	// MAC is the hardware address; nil has the lab choose one, 02:7b:....
	MAC net.HardwareAddr
	// Gateway is the next hop of the default route; none if not valid. Gateway6 is
	// the same for a host with both families.
	Gateway, Gateway6 netip.Addr
	// Name in the host; default eth0, eth1, ... by position.
	Name string
}

// Prefixes parses addresses with prefix length ("192.0.2.2/24"), and panics on a
// wrong one: they are constants of a test.
func Prefixes(texts ...string) []netip.Prefix {
	prefixes := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		prefixes = append(prefixes, netip.MustParsePrefix(text))
	}
	return prefixes
}

// port is a host's end on the wire: what is captured and what is pulled.
type port struct {
	link string // interface on the bridge
	nic  guest.NIC
	netw *Network
}

// plan gives each NIC its port, name and hardware address.
func (l *Lab) plan(nics []NIC) ([]port, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ports := make([]port, 0, len(nics))
	seen := make(map[string]bool)
	for i, nic := range nics {
		if nic.Network == nil {
			return nil, fmt.Errorf("interface %d has no network", i)
		}
		l.ports++
		if nic.Name == "" {
			nic.Name = fmt.Sprintf("eth%d", i)
		}
		if nic.MAC == nil {
			nic.MAC = l.mac(l.ports)
		}
		if seen[nic.Name] {
			return nil, fmt.Errorf("interface name %q is used twice", nic.Name)
		}
		seen[nic.Name] = true
		ports = append(ports, port{link: fmt.Sprintf("p%d", l.ports), nic: nic.wanted(), netw: nic.Network})
	}
	return ports, nil
}

func (l *Lab) mac(number int) net.HardwareAddr {
	return net.HardwareAddr{0x02, 0x7b, 0, 0, byte(number >> 8), byte(number)}
}

func (n NIC) wanted() guest.NIC {
	wanted := guest.NIC{Name: n.Name, MAC: n.MAC.String(), Addresses: n.Addresses, MTU: n.Network.mtu}
	for _, gateway := range []netip.Addr{n.Gateway, n.Gateway6} {
		if gateway.IsValid() {
			wanted.Gateways = append(wanted.Gateways, gateway)
		}
	}
	return wanted
}

// plug makes an interface of the wires' namespace a port of a bridge and brings it up.
func (l *Lab) plug(name string, bridge int) error {
	link, err := l.links.LinkByName(name)
	if err != nil {
		return fmt.Errorf("port %s: %w", name, err)
	}
	if err := l.links.LinkSetMasterByIndex(link, bridge); err != nil {
		return fmt.Errorf("port %s into its bridge: %w", name, err)
	}
	if err := l.links.LinkSetUp(link); err != nil {
		return fmt.Errorf("port %s up: %w", name, err)
	}
	return nil
}

// setPort brings a port up or down.
func (l *Lab) setPort(name string, up bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	link, err := l.links.LinkByName(name)
	if err != nil {
		return fmt.Errorf("port %s: %w", name, err)
	}
	if up {
		return l.links.LinkSetUp(link)
	}
	return l.links.LinkSetDown(link)
}
