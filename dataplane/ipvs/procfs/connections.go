package procfs

import (
	"encoding/binary"
	"io"
	"math"
	"net/netip"
	"strings"
	"time"
)

// ConnectionsPath is the table of connections of the network namespace of the thread that opens
// it. On a busy host it has many megabytes and the kernel searches its whole table for it.
const ConnectionsPath = "/proc/thread-self/net/ip_vs_conn"

// Connection is one line of the table of connections. A template, which remembers a persistent
// client, has client port 0, and state NONE or ASSURED.
type Connection struct {
	// Protocol is the kernel's name: TCP, UDP, SCTP, or IP for templates of services by mark.
	Protocol string
	// Client, Virtual and Destination are the ends; Virtual's address has the mark
	// in its first four bytes for templates of services by mark, see Mark.
	Client, Virtual, Destination netip.AddrPort
	// State is the kernel's name of the protocol's state: ESTABLISHED, FIN_WAIT, UDP, NONE.
	State string
	// Expires is when the connection will be forgotten if nothing more comes, in whole seconds.
	Expires time.Duration
	// Engine is the persistence engine; empty for most. Its data is left out.
	Engine string
}

// Template tells whether this is no connection but the memory of a persistent client.
func (c *Connection) Template() bool {
	return c.Client.Port() == 0 && (c.State == "NONE" || c.State == "ASSURED")
}

// Mark returns the firewall mark of a template of a service by mark, 0 for all else: protocol IP,
// the mark in the first four bytes of the virtual address, no port (ip_vs_core.c,
// ip_vs_sched_persist).
func (c *Connection) Mark() uint32 {
	a := c.Virtual.Addr()
	if c.Protocol != "IP" || !c.Template() || c.Virtual.Port() != 0 || !a.IsValid() {
		return 0
	}
	b := a.AsSlice()
	return binary.BigEndian.Uint32(b)
}

const (
	connectionColumns = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData"
	maxState          = 16
	maxProtocol       = 8 // IP_ and a number
)

// EachConnection reads the table and calls visit with each connection; one value is used for all,
// so copy what is to be kept. It ends with visit's first error and holds one line at a time.
func EachConnection(r io.Reader, visit func(*Connection) error) error {
	in := newLines(r)
	text, err := in.next()
	if err == io.EOF || err == nil && string(text) != connectionColumns {
		return in.fault("it is no heading of the table of connections")
	}
	var c Connection
	for err == nil {
		text, err = in.next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = c.read(in, text, visit)
		}
	}
	return err
}

func (c *Connection) read(in *lines, text []byte, visit func(*Connection) error) error {
	l := line{rest: text}
	if c.parse(&l); l.bad {
		return in.fault("it is no connection")
	}
	return visit(c)
}

func (c *Connection) parse(l *line) {
	c.Protocol = known(l.word(maxProtocol))
	switch c.Protocol {
	case "TCP", "UDP", "SCTP", "IP", "ICMP", "ICMPv6": // ip_vs_core.c, ip_vs_proto_name
	default:
		l.bad = l.bad || !strings.HasPrefix(c.Protocol, "IP_")
	}
	l.spaces()
	c.Client = l.bare()
	l.literal(" ")
	c.Virtual = l.bare()
	l.literal(" ")
	c.Destination = l.bare()
	l.literal(" ")
	c.State = known(l.word(maxState))
	l.spaces()
	c.Expires = time.Duration(l.count(math.MaxUint32)) * time.Second
	c.Engine = ""
	if len(l.rest) > 0 {
		l.literal(" ")
		c.Engine = known(l.word(maxName))
		l.literal(" ") // the engine's data follows, which may be any bytes
	}
}

// known returns b as a string; names that the kernel uses cost no memory.
func known(b []byte) string {
	for _, name := range [...]string{
		"TCP", "UDP", "SCTP", "IP", "NONE", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT", "TIME_WAIT",
		"CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "SYNACK", "ASSURED", "sip",
	} {
		if string(b) == name {
			return name
		}
	}
	return string(b)
}
