package preflight

import (
	"net"
	"net/netip"

	"github.com/truepacs/balancer/dataplane/model"
)

// Facts are what was seen on this host and its segment.
type Facts struct {
	// Interfaces are the interfaces that are up, without lo.
	Interfaces []Interface
	// Exits are the routes by which clients may be reached; needed only where an interface checks
	// sources strictly.
	Exits []Exit
	// Sockets are the listening TCP sockets of this host.
	Sockets []Socket
	// Forwarding is what the host passes on.
	Forwarding Forwarding
	// Toward is the interface by which the host reaches a server; absent: not known.
	Toward map[netip.Addr]string
	// IPVS is what the kernel's load balancer holds that is not ours.
	IPVS ForeignIPVS
	// Neighbours are the hosts that answer for a virtual IP on the segment, by address. This host
	// is none of them.
	Neighbours map[netip.Addr][]net.HardwareAddr
	// Servers is what is known of real servers by their own address.
	Servers map[netip.Addr]Server
	// Through are virtual IPs whose replies came to this host although the servers should send
	// them to the clients themselves, with the MAC addresses they came from, ascending.
	Through map[netip.Addr][]net.HardwareAddr
	// Unanswered are servers, by the key of their service, that get clients' packets and whose replies,
	// which have to come through this host, do not; see Replies.
	Unanswered map[string][]netip.Addr
	// Unmarked are destinations of packets that had no firewall mark of a service when IPVS saw
	// them; those of services should have had one.
	Unmarked map[Destination]bool
	// Marks are the bits in which firewall marks of services agree.
	Marks uint32
}

// Forwarding is what a host passes on from one network to another.
type Forwarding struct {
	// IPv4 and IPv6 are the host's settings (net.ipv4.ip_forward, net.ipv6.conf.all.forwarding).
	IPv4, IPv6 bool
	// Interfaces are those that pass on what comes in by them, IPv4 only (net.ipv4.conf.NAME.forwarding).
	Interfaces map[string]bool
}

// Destination is where a packet goes.
type Destination struct {
	Address  netip.AddrPort
	Protocol model.Protocol
}

// Interface is a network interface.
type Interface struct {
	Name string
	// Index is its number; 0: not known.
	Index int
	MTU   int
	// MTU6 is the largest packet of IPv6, which routers may lower (RFC 4861 section 4.6.4); 0: MTU.
	MTU6 int
	// Addresses are its own addresses with their networks.
	Addresses []netip.Prefix
	// LRO says that the interface merges received packets (ETH_FLAG_LRO, linux/ethtool.h).
	LRO bool
	// RPFilter is the source check in force: the larger of net.ipv4.conf.all.rp_filter and the
	// interface's own; 1 is strict.
	RPFilter int
}

// Largest is the largest packet to an address on the interface, in bytes.
func (i *Interface) Largest(to netip.Addr) int {
	if to.Is6() && i.MTU6 > 0 {
		return min(i.MTU, i.MTU6)
	}
	return i.MTU
}

// Socket is a listening TCP socket.
type Socket struct {
	// Address is where it listens; the unspecified address is a wildcard.
	Address netip.AddrPort
	// Program is the name of the program that holds it; empty: not known.
	Program string
	// Own says that it is ours.
	Own bool
}

// ForeignIPVS is what others keep in the kernel's load balancer.
type ForeignIPVS struct {
	// Services are services that are not ours, as ipvsadm prints them; at most a few.
	Services []string
	// Count is how many there are.
	Count int
	// KubeProxy says that kube-proxy keeps them: its interface kube-ipvs0 is there.
	KubeProxy bool
}

// Server is what is known of a real server.
type Server struct {
	// MAC is its address on the segment; nil: nobody answered for its IP address.
	MAC net.HardwareAddr
	// MTU is the largest packet that it answered; 0: not tried or no answer at all.
	MTU int
	// Interface is the name of the interface that it was asked on; empty: the one on whose network it is.
	Interface string
	// NoVIP are virtual IPs on which the server is silent when it is asked by its MAC address,
	// although it answers on its own address.
	NoVIP []netip.Addr
}
