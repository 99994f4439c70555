package ipvs

import (
	"context"
	"net/netip"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
)

// ServiceStats are the figures of one of our services.
type ServiceStats struct {
	// Key is the service's key; empty if the last Set did not name it.
	Key string
	// Mark is the firewall mark, IPv6 the address family.
	Mark uint32
	IPv6 bool
	// Counters are the service's.
	Counters Counters
	// Servers are its servers' figures by ascending address.
	Servers []ServerStats
}

// ServerStats are the figures of one server of a service.
type ServerStats struct {
	// Name is the server's name in its pool; empty if the last Set did not name it.
	Name string
	// Address is the server's, with the port 0 if that is the one that the client came to.
	Address netip.AddrPort
	// Weight is what the kernel has.
	Weight int
	// Active are established connections, Inactive all others that are remembered, Persistent the
	// clients that are.
	Active, Inactive, Persistent int
	// Counters are the server's.
	Counters Counters
}

// Stats returns the figures of our services by ascending mark, IPv4 first. It reads as State does.
func (d *Driver) Stats(ctx context.Context) ([]ServiceStats, error) {
	state, err := d.State(ctx)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	want := d.want // never changed in place
	d.mu.Unlock()
	all := make([]ServiceStats, 0, len(state))
	for _, o := range state {
		names := want[genl.ByMark(o.Mark, o.IPv6)].names
		s := ServiceStats{Key: o.Key, Mark: o.Mark, IPv6: o.IPv6, Counters: o.Counters}
		for _, server := range o.Servers {
			address := netip.AddrPortFrom(server.Address, server.Port)
			s.Servers = append(s.Servers, ServerStats{
				Name: names[address], Address: address, Weight: server.Weight,
				Active: server.Active, Inactive: server.Inactive, Persistent: server.Persistent, Counters: server.Counters,
			})
		}
		all = append(all, s)
	}
	return all, nil
}
