package announce

import (
	"context"
	"errors"
	"net/netip"
)

// Interface is what the announcer must know about an interface.
type Interface struct {
	// Index is the interface's number: another number is another interface of that name.
	Index int
	// MAC is its address.
	MAC MAC
	// Up tells whether the administrator has switched it on.
	Up bool
	// Addresses are its addresses with their networks, virtual ones too.
	Addresses []netip.Prefix
	// Router tells whether the host forwards IPv6 packets that arrive there.
	Router bool
}

// Kind is the protocol that a port carries.
type Kind int

// Kinds of ports.
const (
	// ARP carries ARP packets of IPv4 (RFC 826).
	ARP Kind = iota
	// NDP carries whole IPv6 packets with neighbour messages (RFC 4861).
	NDP
)

// kindOf returns the protocol that finds an address.
func kindOf(a netip.Addr) Kind {
	if a.Is4() {
		return ARP
	}
	return NDP
}

// Listen says what a port receives.
type Listen struct {
	// Groups are the group addresses that the port receives besides the interface's own
	// address and what every host receives.
	Groups []MAC
}

// Network is the host's interfaces. It may be used from several goroutines.
type Network interface {
	// Interface describes an interface; the error wraps ErrNoInterface if there is none of
	// that name or it has no Ethernet address.
	Interface(name string) (Interface, error)
	// OwnMACs returns the addresses of all interfaces of the host.
	OwnMACs() ([]MAC, error)
	// Open returns a port on an interface; one without Listen never receives.
	Open(name string, kind Kind, listen *Listen) (Port, error)
}

// Port sends and receives packets of its kind on one interface.
type Port interface {
	// Send sends a packet's bytes to an Ethernet address.
	Send(to MAC, b []byte) error
	// Receive fills b with the next packet that came from outside and returns its length and
	// who sent the frame; it ends with the context.
	Receive(ctx context.Context, b []byte) (int, MAC, error)
	// Close ends the port and what waits in Receive.
	Close() error
}

// ErrNoInterface means that an interface does not exist or is no Ethernet.
var ErrNoInterface = errors.New("there is no Ethernet interface of that name on this host")
