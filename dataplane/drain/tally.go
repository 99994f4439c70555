package drain

import (
	"net/netip"
	"time"

	"github.com/truepacs/balancer/dataplane/model"
)

const (
	// readEvery is the least time between two readings of the table while connections are left, and
	// rereadEvery once there are none: the table of a busy director has megabytes.
	readEvery   = time.Second
	rereadEvery = 30 * time.Second
	// linger is how long a connection that the client has closed counts after its last packet.
	linger = 5 * time.Second
	// maxFlows bounds the connections that are reset at a time; the next ones follow.
	maxFlows = 8192
)

// Connection is one connection of the kernel's table; templates of persistent clients are none.
type Connection struct {
	// Service is the key of its service.
	Service string
	// Protocol is the transport protocol.
	Protocol model.Protocol
	// Client, Virtual and Server are the ends.
	Client, Virtual, Server netip.AddrPort
	// State is the kernel's name of the state (ip_vs_proto_tcp.c).
	State string
	// Quiet is how long no packet has come, of connections in state FIN_WAIT; else without meaning.
	Quiet time.Duration
}

// open tells whether bytes may still flow.
func (c *Connection) open() bool {
	if c.Protocol != model.TCP {
		return true
	}
	switch c.State {
	case "TIME_WAIT", "CLOSE", "LAST_ACK", "LISTEN", "NONE":
		return false
	case "FIN_WAIT":
		return c.Quiet <= linger
	}
	return true
}

// Flow is a TCP connection that is to be reset.
type Flow struct {
	// Client is the client's end, Virtual the virtual one it is connected to.
	Client, Virtual netip.AddrPort
}

// end is where connections of a server are found; port 0: all ports of the address.
type end struct {
	service string
	address netip.AddrPort
}

// count is what a reading found of one server.
type count struct {
	open, tcp int
	cut       bool // its time is over
	flows     []Flow
}

// Tally counts the connections of the servers that leave. Its size does not grow with the number
// of connections. Make it with Memory.Tally.
type Tally struct {
	counts    map[end]*count
	addresses map[netip.Addr]bool
	left      int // flows that may still be noted
}

// Add counts a connection if it belongs to a server that leaves.
func (t *Tally) Add(c *Connection) {
	if !t.addresses[c.Server.Addr()] {
		return
	}
	n := t.counts[end{c.Service, c.Server}]
	if n == nil {
		n = t.counts[end{c.Service, netip.AddrPortFrom(c.Server.Addr(), 0)}]
	}
	if n == nil || !c.open() {
		return
	}
	n.open++
	if c.Protocol != model.TCP {
		return
	}
	n.tcp++
	if n.cut && t.left > 0 {
		t.left--
		n.flows = append(n.flows, Flow{c.Client, c.Virtual})
	}
}

// Tally returns what is to be filled with the kernel's table now and given to Decide, nil: nothing
// leaves, or the last reading is new enough.
func (m Memory) Tally(services []model.VirtualService, now time.Time) *Tally {
	t := &Tally{counts: map[end]*count{}, addresses: map[netip.Addr]bool{}, left: maxFlows}
	due := rereadEvery
	for i := range services {
		for j := range services[i].Servers {
			s, server := &services[i], &services[i].Servers[j]
			e := m.servers[identity(s, server)]
			if server.State == model.Active || e.is(server.State) && e.out {
				continue
			}
			if !e.is(server.State) {
				e = entry{Start: Start{State: server.State, Since: now}}
				due = 0
			}
			if e.phase != Drained {
				due = min(due, readEvery)
			}
			t.addresses[server.Address] = true
			t.counts[endOf(s, server)] = &count{cut: e.over(s, now)}
		}
	}
	if len(t.counts) == 0 || due > 0 && now.Sub(m.readAt) < due && !now.Before(m.readAt) {
		return nil
	}
	return t
}

func endOf(s *model.VirtualService, server *model.RealServer) end {
	return end{s.Key, netip.AddrPortFrom(server.Address, server.Port)}
}
