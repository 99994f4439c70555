package ipvs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/model"
)

// Observed is one of our services as the kernel runs it.
type Observed struct {
	// Key is the service's key; empty if the last Set did not name it.
	Key string
	// Mark is the firewall mark, IPv6 the address family.
	Mark uint32
	IPv6 bool
	// Scheduler is the scheduling method.
	Scheduler model.Scheduler
	// Persistence is nil if clients are not remembered.
	Persistence *model.Persistence
	// Counters are the service's totals and rates.
	Counters Counters
	// Servers are the real servers by ascending address.
	Servers []ObservedServer
}

// ObservedServer is one real server of an Observed service.
type ObservedServer struct {
	// Address is the server's address.
	Address netip.Addr
	// Port is the server's port; 0: the port that the client came to.
	Port uint16
	// Forwarding is how packets reach it. NAT and SNAT are one to IPVS: it is NAT here.
	Forwarding model.Forwarding
	// Weight is its weight; 0: it gets no new connections.
	Weight int
	// Active are established connections, Inactive all others that are remembered, Persistent the
	// clients that are.
	Active, Inactive, Persistent int
	// Counters are the server's totals and rates.
	Counters Counters
}

// Counters are 64-bit totals since the service or server was added, and rates a second; the kernel
// sums them up every two seconds (ip_vs_est.c). With direct routing and tunnels nothing goes out
// through the director, so what goes out is 0.
type Counters = genl.Stats

// State returns our services by ascending mark, IPv4 first, read by netlink with one list and one
// request for each service.
func (d *Driver) State(ctx context.Context) ([]Observed, error) {
	services, err := d.config.Kernel.Services(ctx)
	if err != nil {
		_, err = explain(err)
		return nil, fmt.Errorf("ipvs: read services: %w", err)
	}
	keys := d.keys()
	state := make([]Observed, 0, len(services))
	for _, s := range services {
		if !d.config.Marks.own(s.Mark) {
			continue
		}
		found, err := d.config.Kernel.Destinations(ctx, s.ServiceID)
		if errors.Is(err, genl.ErrNoService) {
			continue // removed meanwhile
		}
		if err != nil {
			_, err = explain(err)
			return nil, fmt.Errorf("ipvs: read servers of %s: %w", s.ServiceID, err)
		}
		state = append(state, observedOf(keys[s.ServiceID], s, found))
	}
	slices.SortFunc(state, func(a, b Observed) int {
		return byMark(genl.ByMark(a.Mark, a.IPv6), genl.ByMark(b.Mark, b.IPv6))
	})
	return state, nil
}

// keys are those of the services of the last Set.
func (d *Driver) keys() map[genl.ServiceID]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	keys := make(map[genl.ServiceID]string, len(d.want))
	for id := range d.want {
		keys[id] = d.want[id].key
	}
	return keys
}

func observedOf(key string, s genl.Service, found []genl.Destination) Observed {
	o := Observed{Key: key, Mark: s.Mark, IPv6: s.IPv6, Scheduler: model.Scheduler(s.Scheduler), Counters: s.Stats}
	if s.Flags&genl.FlagPersistent != 0 {
		o.Persistence = &model.Persistence{Timeout: time.Duration(s.TimeoutSeconds) * time.Second, PrefixLength: s.PrefixLength}
	}
	for _, d := range found {
		o.Servers = append(o.Servers, ObservedServer{
			Address: d.Address.Addr(), Port: d.Address.Port(), Forwarding: forwardingOf(d.Forward), Weight: d.Weight,
			Active: int(d.Active), Inactive: int(d.Inactive), Persistent: int(d.Persistent), Counters: d.Stats,
		})
	}
	slices.SortFunc(o.Servers, func(a, b ObservedServer) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Port, b.Port))
	})
	return o
}

func forwardingOf(f genl.Forward) model.Forwarding {
	switch f {
	case genl.DirectRoute, genl.LocalNode:
		return model.DirectRouting
	case genl.Tunnel:
		return model.Tunnel
	}
	return model.NAT
}
