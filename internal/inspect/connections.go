package inspect

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/model"
)

// Connection is one connection through the kernel's balancer, or the memory of a persistent client.
type Connection struct {
	// Service is namespace/balancer/service; empty for one that is not of this product.
	Service string `json:"service,omitempty"`
	// Server is the server's name in its pool; empty for one that the service has no more.
	Server string `json:"server,omitempty"`
	// Protocol is TCP or UDP; of remembered clients IP.
	Protocol string `json:"protocol"`
	// Client is the client's address and port, or the network of remembered clients with port 0.
	Client netip.AddrPort `json:"client"`
	// Virtual is the virtual IP and port; absent for remembered clients.
	Virtual *netip.AddrPort `json:"virtual,omitempty"`
	// To is the server's address and port.
	To netip.AddrPort `json:"to"`
	// State is the kernel's name of the state; Remembered or Forgotten for persistent clients.
	State string `json:"state"`
	// ExpiresSeconds is when it is forgotten if nothing more comes.
	ExpiresSeconds int `json:"expiresSeconds"`
}

// States of what is no connection but the memory of a persistent client.
const (
	// Remembered clients go to their server.
	Remembered = "Remembered"
	// Forgotten ones do not, for it took no new connections when they came; the kernel keeps the entry
	// until the connections that came by it are over (ip_vs_check_template), without its service.
	Forgotten = "Forgotten"
)

// forgottenPort is what the kernel gives entries that hold no more, as the server's port.
const forgottenPort = 0xffff

// Filter chooses connections; what is empty chooses all.
type Filter struct {
	// Server is a server's name, or its address.
	Server string
	// Service is namespace/balancer/service, or the end of it after a slash.
	Service string
	// Client holds the client's address.
	Client netip.Prefix
}

// ParseClient reads a client's address or network.
func ParseClient(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("client %q: write an address, or a network as ADDRESS/LENGTH", text)
	}
	return p.Masked(), nil
}

// Connections calls visit with each connection that the filter chooses, in the kernel's order, and
// ends with visit's first error. It holds one at a time.
func (s *Source) Connections(ctx context.Context, f Filter, visit func(Connection) error) error {
	observed := s.Observed()
	names := serverNames(observed.Node.Services)
	return s.VirtualServer.Connections(ctx, ipvs.ConnectionFilter{Client: f.Client}, func(c ipvs.Connection) error {
		one := Connection{
			Service: c.Key, Server: names[serverID{c.Key, c.Server.Addr()}], Protocol: c.Protocol, Client: c.Client,
			To: c.Server, State: c.State, ExpiresSeconds: int(c.Expires.Seconds()),
		}
		switch {
		case !c.Template:
			one.Virtual = &c.Virtual
		case c.Server.Port() == forgottenPort:
			one.State = Forgotten
		default:
			one.State = Remembered
		}
		if !f.chooses(&one) {
			return nil
		}
		return visit(one)
	})
}

func (f *Filter) chooses(c *Connection) bool {
	return (f.Server == "" || f.Server == c.Server || f.Server == c.To.Addr().String()) &&
		(f.Service == "" || f.Service == c.Service || strings.HasSuffix(c.Service, "/"+f.Service))
}

// serverID tells a server of a service by its address; on several ports it has one name each, of which
// the last counts.
type serverID struct {
	service string
	address netip.Addr
}

func serverNames(services []model.VirtualService) map[serverID]string {
	names := map[serverID]string{}
	for i := range services {
		for _, server := range services[i].Servers {
			names[serverID{services[i].Key, server.Address}] = server.Name
		}
	}
	return names
}
