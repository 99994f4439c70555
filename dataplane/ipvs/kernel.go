package ipvs

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// Flags of a service (linux/ip_vs.h).
const (
	// FlagPersistent keeps clients on their servers.
	FlagPersistent uint32 = 0x1
	// flagHashed is set by the kernel in everything that is read back.
	flagHashed uint32 = 0x2
)

// Forwarding methods of a destination (linux/ip_vs.h, IP_VS_CONN_F_*).
const (
	ForwardMasquerade  uint32 = 0
	ForwardTunnel      uint32 = 2
	ForwardDirectRoute uint32 = 3
)

// Service is one IPVS service. It is selected by Mark or, if that is 0, by Protocol and Address.
type Service struct {
	// Mark is the firewall mark.
	Mark uint32
	// Protocol is the IP protocol number and Address the virtual address, of services without
	// mark.
	Protocol uint16
	Address  netip.AddrPort
	// IPv6 tells the family of a service with a mark.
	IPv6 bool
	// Scheduler is the kernel's name of the scheduling method.
	Scheduler string
	// Flags are the service's flags without the one that the kernel adds.
	Flags uint32
	// Timeout is how long a client of a persistent service is remembered, in seconds.
	Timeout uint32
	// PrefixLength is how many bits of its address make a client; 32 for services that are not
	// persistent.
	PrefixLength int
	// Counters are what the kernel has counted; ignored in writes.
	Counters Counters
}

// Destination is one real server of a service.
type Destination struct {
	// Address and Port are the server's; port 0 is the one the client came to.
	Address netip.Addr
	Port    uint16
	// Forward is the forwarding method.
	Forward uint32
	// Weight is the share of new connections; 0: none, established ones go on.
	Weight int
	// UpperThreshold and LowerThreshold bound the number of connections; 0: no bound.
	UpperThreshold, LowerThreshold uint32
	// Active and Inactive are the numbers of connections now: established and others.
	Active, Inactive int
	// Counters are what the kernel has counted; ignored in writes.
	Counters Counters
}

// Counters are totals since the service or server was added. The kernel's interface carries
// Connections and Packets in 32 bits, so they wrap.
type Counters struct {
	Connections, PacketsIn uint32
	BytesIn                uint64
}

// Timeouts are the idle timeouts of connections; one set for the whole host, whole seconds.
type Timeouts struct {
	TCP, TCPFin, UDP time.Duration
}

// Act is what a Step does.
type Act int

// Acts, in the order in which Set takes them: servers come before others go.
const (
	AddService Act = iota
	AddDestination
	UpdateService
	UpdateDestination
	RemoveDestination
	RemoveService
)

// String returns the act as words.
func (a Act) String() string {
	return [...]string{"add service", "add server", "change service", "change server", "remove server", "remove service"}[a]
}

// Step is one write.
type Step struct {
	Act     Act
	Service Service
	// Destination belongs to the acts on destinations.
	Destination Destination
}

// Kernel is what the driver needs from IPVS. Errors are or wrap the kernel's syscall.Errno:
// ESRCH for a service and ENOENT for a destination that is not there, EEXIST for one that is,
// ENOENT for a scheduler whose module is missing; or ErrModuleMissing. Kernels may be used from
// several goroutines.
type Kernel interface {
	// Loaded tells whether the kernel has IPVS now; asking does not load it.
	Loaded() bool
	// Services returns all services, foreign ones too.
	Services(ctx context.Context) ([]Service, error)
	// Destinations returns the destinations of a service.
	Destinations(ctx context.Context, s Service) ([]Destination, error)
	// Apply carries out one step.
	Apply(ctx context.Context, step Step) error
	// Timeouts returns the timeouts.
	Timeouts(ctx context.Context) (Timeouts, error)
	// SetTimeouts sets the timeouts; a 0 leaves one as it is.
	SetTimeouts(ctx context.Context, t Timeouts) error
}

// id is what tells two destinations of a service apart.
func (d Destination) id() string { return netip.AddrPortFrom(d.Address, d.Port).String() }

// sameSettings compares what a write sets.
func (s Service) sameSettings(o Service) bool {
	s.Counters, o.Counters = Counters{}, Counters{}
	return s == o
}

func (d Destination) sameSettings(o Destination) bool {
	d.Counters, o.Counters = Counters{}, Counters{}
	d.Active, d.Inactive, o.Active, o.Inactive = 0, 0, 0, 0
	return d == o
}

// String names the service for messages.
func (s Service) String() string {
	if s.Mark != 0 {
		return fmt.Sprintf("firewall mark %#x", s.Mark)
	}
	return fmt.Sprintf("protocol %d %s", s.Protocol, s.Address)
}
