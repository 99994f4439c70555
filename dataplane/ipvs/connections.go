package ipvs

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/procfs"
	"github.com/truepacs/balancer/dataplane/model"
)

// Connection is one connection through IPVS, or the memory of a persistent client.
type Connection struct {
	// Key is the service's key; empty if none of the services answers there.
	Key string
	// Template says that this is no connection but what keeps a persistent client on its server.
	// Client is then the client's network, Virtual without meaning.
	Template bool
	// Protocol is the kernel's name: TCP, UDP, SCTP; IP for templates.
	Protocol string
	// Client, Virtual and Server are the ends.
	Client, Virtual, Server netip.AddrPort
	// State is the kernel's name of the state: ESTABLISHED, FIN_WAIT, UDP, NONE.
	State string
	// Expires is when it is forgotten if nothing more comes, in whole seconds.
	Expires time.Duration
}

// ConnectionFilter chooses connections; what is zero chooses all.
type ConnectionFilter struct {
	// Key is a service's key.
	Key string
	// Client holds the client's address.
	Client netip.Prefix
	// Virtual is a virtual address; templates have none.
	Virtual netip.Addr
	// Server is the server's address.
	Server netip.Addr
	// State is the kernel's name of the state.
	State string
	// WithoutTemplates leaves out templates.
	WithoutTemplates bool
}

// Connections calls visit with each connection that the filter chooses, of the services of the last
// Set and foreign ones too unless it names a service, in the kernel's order. It holds one at a time, however many there are, and ends
// with visit's first error. Connections come and go meanwhile: the kernel may show one twice or not
// at all.
func (d *Driver) Connections(ctx context.Context, filter ConnectionFilter, visit func(Connection) error) error {
	d.mu.Lock()
	all := d.wishes
	d.mu.Unlock()
	return d.ConnectionsOf(ctx, all, filter, visit)
}

// ConnectionsOf is Connections with services that need not have been Set: those of all. A process
// that has just started knows whose connections the kernel has before it writes anything.
func (d *Driver) ConnectionsOf(ctx context.Context, all []model.VirtualService, filter ConnectionFilter, visit func(Connection) error) error {
	who := directory(all)
	err := d.config.Kernel.Connections(ctx, func(found *procfs.Connection) error {
		c := Connection{
			Key: who.key(found), Template: found.Template(), Protocol: found.Protocol, Client: found.Client,
			Virtual: found.Virtual, Server: found.Destination, State: found.State, Expires: found.Expires,
		}
		if !filter.chooses(&c) {
			return nil
		}
		return visit(c)
	})
	if err != nil {
		return fmt.Errorf("ipvs: read connections: %w", err)
	}
	return nil
}

func (f *ConnectionFilter) chooses(c *Connection) bool {
	return (f.Key == "" || f.Key == c.Key) &&
		(!f.Client.IsValid() || f.Client.Contains(c.Client.Addr())) &&
		(!f.Virtual.IsValid() || !c.Template && f.Virtual == c.Virtual.Addr()) &&
		(!f.Server.IsValid() || f.Server == c.Server.Addr()) &&
		(f.State == "" || f.State == c.State) &&
		(!f.WithoutTemplates || !c.Template)
}

// services finds the service that a connection belongs to.
type services struct {
	marks  map[genl.ServiceID]string
	ports  map[end]string
	ranges map[end][]portRange // by port 0
}

type end struct {
	protocol string
	address  netip.AddrPort
}

type portRange struct {
	model.PortRange
	key string
}

func directory(all []model.VirtualService) services {
	who := services{marks: map[genl.ServiceID]string{}, ports: map[end]string{}, ranges: map[end][]portRange{}}
	for i := range all {
		s := &all[i]
		who.marks[genl.ByMark(s.Mark, s.IPv6())] = s.Key
		for _, m := range s.Matches() {
			for _, address := range m.Addresses {
				at := end{strings.ToUpper(string(m.Protocol)), netip.AddrPortFrom(address, 0)}
				for _, r := range m.PortRanges {
					who.ranges[at] = append(who.ranges[at], portRange{r, s.Key})
				}
				for _, port := range m.Ports {
					at.address = netip.AddrPortFrom(address, port)
					who.ports[at] = s.Key
				}
			}
		}
	}
	return who
}

func (w *services) key(c *procfs.Connection) string {
	if mark := c.Mark(); mark != 0 {
		return w.marks[genl.ByMark(mark, c.Virtual.Addr().Is6())]
	}
	if key, found := w.ports[end{c.Protocol, c.Virtual}]; found {
		return key
	}
	for _, r := range w.ranges[end{c.Protocol, netip.AddrPortFrom(c.Virtual.Addr(), 0)}] {
		if port := c.Virtual.Port(); port >= r.First && port <= r.Last {
			return r.key
		}
	}
	return ""
}
