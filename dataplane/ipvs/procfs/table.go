package procfs

import (
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
)

// TablePath is the table of the network namespace of the thread that opens it. The file is there
// if and only if the module ip_vs is loaded.
const TablePath = "/proc/thread-self/net/ip_vs"

// Header is the first line of the table.
type Header struct {
	// Major, Minor and Patch are the version of IPVS.
	Major, Minor, Patch uint8
	// Size is the number of buckets of the connection table.
	Size uint32
}

// Ticks are a time in ticks of the kernel's clock (CONFIG_HZ: 100, 250, 300 or 1000 a second).
type Ticks uint32

// Rate returns the ticks a second, given one service's timeout in ticks from here and in seconds
// from netlink; 0 if they do not go together. It holds for all services as long as the kernel runs.
func Rate(ticks Ticks, seconds uint32) uint32 {
	if seconds == 0 || uint32(ticks)%seconds != 0 {
		return 0
	}
	return uint32(ticks) / seconds
}

// Service is one service of the table, as far as the file has it; see the package's comment.
type Service struct {
	// Mark is the firewall mark; 0 for services by address.
	Mark uint32
	// Protocol is the kernel's name, TCP, UDP or SCTP, and Address the virtual address; zero for
	// services by mark.
	Protocol string
	Address  netip.AddrPort
	// Scheduler is the scheduling method; "none" if there is none.
	Scheduler string
	// OnePacket is the flag "ops"; always false for an IPv6 address.
	OnePacket bool
	// Persistent tells whether clients are remembered; only then Timeout and ClientMask are set.
	Persistent bool
	Timeout    Ticks
	// ClientMask is the mask that makes a client of an IPv4 address, 0xffffff00 for /24. Of an
	// IPv6 service it is the prefix length with its bytes turned round on little-endian machines:
	// see IPv6PrefixLength.
	ClientMask uint32
	// Destinations are in the kernel's order.
	Destinations []Destination
}

// Destination is one destination of the table, as far as the file has it.
type Destination struct {
	// Address and port of the server.
	Address netip.AddrPort
	// Forward is Masq, Local, Tunnel or Route.
	Forward string
	// Weight is the share of new connections.
	Weight int
	// Active and Inactive are the connections now.
	Active, Inactive int
}

// Equal compares settings: connections are left out, and destinations may be in any order.
func (s *Service) Equal(o *Service) bool {
	same := s.Mark == o.Mark && s.Protocol == o.Protocol && s.Address == o.Address && s.Scheduler == o.Scheduler &&
		s.OnePacket == o.OnePacket && s.Persistent == o.Persistent && s.Timeout == o.Timeout && s.ClientMask == o.ClientMask
	if !same || len(s.Destinations) != len(o.Destinations) {
		return false
	}
	for i := range s.Destinations {
		at := i
		if s.Destinations[i].Address != o.Destinations[i].Address {
			at = slices.IndexFunc(o.Destinations, func(d Destination) bool { return d.Address == s.Destinations[i].Address })
		}
		if at < 0 || !s.Destinations[i].Equal(o.Destinations[at]) {
			return false
		}
	}
	return true
}

// Equal compares settings; connections are left out.
func (d Destination) Equal(o Destination) bool {
	return d.Address == o.Address && d.Forward == o.Forward && d.Weight == o.Weight
}

// String names the service for messages.
func (s *Service) String() string {
	if s.Mark != 0 {
		return fmt.Sprintf("firewall mark %#x %s", s.Mark, s.Scheduler)
	}
	return fmt.Sprintf("%s %s %s", s.Protocol, s.Address, s.Scheduler)
}

const (
	columns1 = "Prot LocalAddress:Port Scheduler Flags"
	columns2 = "  -> RemoteAddress:Port Forward Weight ActiveConn InActConn"

	maxName         = 15      // of a scheduler
	maxDestinations = 1 << 16 // of one service
)

// EachService reads the table and calls visit with each service, which is only valid until visit
// returns: copy what is to be kept, Destinations too. It ends with visit's first error. No service
// is no error; a file without its heading is.
func EachService(r io.Reader, visit func(*Service) error) (Header, error) {
	p := tableParser{lines: newLines(r), visit: visit}
	header, err := p.header()
	for err == nil && !p.ended {
		err = p.line()
	}
	return header, err
}

type tableParser struct {
	lines *lines
	visit func(*Service) error
	s     Service
	open  bool // s is a service that has not been given out
	ended bool
}

// header reads the three lines of the heading.
func (p *tableParser) header() (Header, error) {
	var h Header
	for _, parse := range [...]func(*line){
		func(l *line) {
			l.literal("IP Virtual Server version ")
			h.Major = uint8(l.count(math.MaxUint8))
			l.literal(".")
			h.Minor = uint8(l.count(math.MaxUint8))
			l.literal(".")
			h.Patch = uint8(l.count(math.MaxUint8))
			l.literal(" (size=")
			h.Size = uint32(l.count(math.MaxInt32))
			l.literal(")")
		},
		func(l *line) { l.literal(columns1) },
		func(l *line) { l.literal(columns2) },
	} {
		text, err := p.lines.next()
		if err == io.EOF {
			return h, p.lines.fault("the heading ends too early")
		}
		if err != nil {
			return h, err
		}
		l := line{rest: text}
		parse(&l)
		if l.end(); l.bad {
			return h, p.lines.fault("it is no heading of the table of services")
		}
	}
	return h, nil
}

// line reads one line after the heading.
func (p *tableParser) line() error {
	text, err := p.lines.next()
	if err == io.EOF {
		p.ended = true
		return p.flush()
	}
	if err != nil {
		return err
	}
	l := line{rest: text}
	if l.has("  -> ") {
		return p.destination(&l)
	}
	if err := p.flush(); err != nil {
		return err
	}
	p.s = Service{Destinations: p.s.Destinations[:0]}
	if p.s.parse(&l); l.bad {
		return p.lines.fault("it is neither a service nor a destination")
	}
	p.open = true
	return nil
}

// flush gives out the service that is complete.
func (p *tableParser) flush() error {
	if !p.open {
		return nil
	}
	p.open = false
	return p.visit(&p.s)
}

func (s *Service) parse(l *line) {
	if l.has("FWM  ") {
		s.Mark = l.hex(8, 'A')
		l.bad = l.bad || s.Mark == 0
	} else {
		s.Protocol = protocol(l)
		l.literal("  ")
		s.Address = l.endpoint()
	}
	l.literal(" ")
	s.Scheduler = scheduler(l.word(maxName))
	l.literal(" ")
	if !s.Address.Addr().Is6() {
		s.OnePacket = l.has("ops ")
	}
	if s.Address.Addr().Is4() {
		l.literal(" ")
	}
	if s.Persistent = l.has("persistent "); s.Persistent {
		s.Timeout = l.ticks()
		l.literal(" ")
		s.ClientMask = l.hex(8, 'A')
	}
	l.end()
}

func protocol(l *line) string {
	for _, name := range [...]string{"TCP", "UDP", "SCTP"} {
		if l.has(name) {
			return name
		}
	}
	l.bad = true
	return ""
}

// ticks cuts off an unsigned number that the kernel prints as a signed one.
func (l *line) ticks() Ticks {
	value := l.decimal()
	if value < math.MinInt32 || value > math.MaxInt32 {
		l.bad = true
	}
	return Ticks(uint32(value))
}

// scheduler returns the name as a string; usual ones cost no memory.
func scheduler(b []byte) string {
	for _, name := range [...]string{"rr", "wrr", "lc", "wlc", "sh", "mh", "dh", "sed", "nq", "fo", "ovf", "lblc", "lblcr", "none"} {
		if string(b) == name {
			return name
		}
	}
	return string(b)
}

func (p *tableParser) destination(l *line) error {
	if !p.open || len(p.s.Destinations) >= maxDestinations {
		return p.lines.fault("it is a destination too many")
	}
	var d Destination
	d.Address = l.endpoint()
	l.literal("      ")
	d.Forward = forward(l)
	l.spaces()
	d.Weight = int(l.count(math.MaxInt32))
	l.spaces()
	d.Active = l.connections()
	l.spaces()
	d.Inactive = l.connections()
	for l.has(" ") {
		continue
	}
	if l.end(); l.bad {
		return p.lines.fault("it is no destination")
	}
	p.s.Destinations = append(p.s.Destinations, d)
	return nil
}

func forward(l *line) string {
	for _, name := range [...]string{"Route", "Masq", "Tunnel", "Local"} {
		if l.has(name) {
			return name
		}
	}
	l.bad = true
	return ""
}

// connections cuts off a counter that is -1 for a moment when a connection ends on two processors
// at once; that counts as 0.
func (l *line) connections() int {
	value := l.decimal()
	if value < math.MinInt32 || value > math.MaxInt32 {
		l.bad = true
	}
	return int(max(0, value))
}
