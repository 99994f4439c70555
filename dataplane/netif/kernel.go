package netif

import (
	"net"
	"net/netip"
)

// Scope is the scope of an address (linux/rtnetlink.h, enum rt_scope_t).
type Scope uint8

// Scopes that this program uses.
const (
	ScopeGlobal Scope = 0
	ScopeHost   Scope = 254
)

// Address is one address of an interface as the kernel has it.
type Address struct {
	// Interface is the interface's name and Index its number.
	Interface string
	Index     int
	// Prefix is the local address with the length of its network.
	Prefix netip.Prefix
	// Label is the IPv4 label; the kernel's default is the interface's name.
	Label string
	// Proto is IFA_PROTO: 0 if nobody set it or the kernel does not know it.
	Proto uint8
	// Scope is how far an IPv4 address is valid; the kernel derives that of IPv6 by itself.
	Scope Scope
	// Metric is IFA_RT_PRIORITY of an IPv6 address, since Linux 4.18; 0: the kernel's choice.
	Metric uint32
	// Passive, for IPv6, is an address to listen on and to answer from, which the host does not
	// choose as the source of connections of its own while it has another one of that scope: it is
	// deprecated (IFA_F_DEPRECATED: preferred lifetime 0; RFC 6724 section 5, rule 3) and adds no
	// route for its prefix. IPv4 has no such thing.
	Passive bool
}

// Link is one network interface.
type Link struct {
	// Name is the interface's name and Index its number.
	Name  string
	Index int
	// MAC is the hardware address; empty on interfaces that have none.
	MAC net.HardwareAddr
	// MTU is the largest packet in bytes.
	MTU int
	// Up tells whether the administrator has switched the interface on.
	Up bool
	// Carrier tells whether the interface can carry packets now: a pulled cable clears it.
	Carrier bool
	// Loopback tells whether it is lo.
	Loopback bool
	// Kind is the driver of a virtual interface ("veth", "bridge", "vlan"; IFLA_INFO_KIND),
	// empty for a network card.
	Kind string
	// Master is the number of the bridge or bond that gets its packets; 0: none.
	Master int
}

// Gateway is a default route of the main table.
type Gateway struct {
	// Index is the number of the interface that the route leaves through.
	Index int
	// Address is the gateway.
	Address netip.Addr
}

// Kernel is what the drivers need from the kernel's routing netlink. Errors are or wrap the
// kernel's syscall.Errno. Kernels may be used from several goroutines.
type Kernel interface {
	// Links returns all interfaces of the network namespace.
	Links() ([]Link, error)
	// Addresses returns all addresses of both families.
	Addresses() ([]Address, error)
	// Gateways returns the default routes of the main table.
	Gateways() ([]Gateway, error)
	// AddAddress adds an address to the interface Index; EEXIST if it is there.
	AddAddress(Address) error
	// ChangeAddress gives an IPv6 address that is there Metric, Proto and Passive; it adds one
	// that is not.
	ChangeAddress(Address) error
	// RemoveAddress removes the address Prefix from the interface Index; EADDRNOTAVAIL if it
	// is not there.
	RemoveAddress(Address) error
}
