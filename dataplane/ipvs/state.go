package ipvs

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/truepacs/balancer/dataplane/model"
)

// Observed is one of our services as the kernel runs it.
type Observed struct {
	// Key is the service's key; empty if the last Set did not name it.
	Key string
	// Mark is the firewall mark.
	Mark uint32
	// Scheduler is the scheduling method.
	Scheduler model.Scheduler
	// Persistence is nil if clients are not remembered.
	Persistence *model.Persistence
	// Counters are the service's totals.
	Counters Counters
	// Servers are the real servers by ascending address.
	Servers []ObservedServer
}

// ObservedServer is one real server of an Observed service.
type ObservedServer struct {
	// Address is the server's address.
	Address netip.Addr
	// Weight is its weight; 0: it gets no new connections.
	Weight int
	// Active are established connections, Inactive all others that are remembered.
	Active, Inactive int
	// Counters are the server's totals.
	Counters Counters
}

// State returns our services by ascending mark.
func (d *Driver) State(ctx context.Context) ([]Observed, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	have, err := d.observe(ctx)
	if err != nil {
		_, err = explain(err)
		return nil, fmt.Errorf("ipvs: read services: %w", err)
	}
	state := make([]Observed, 0, len(have))
	for mark, p := range have {
		state = append(state, observedOf(d.keys[mark], p))
	}
	slices.SortFunc(state, func(a, b Observed) int { return cmp.Compare(a.Mark, b.Mark) })
	return state, nil
}

func observedOf(key string, p present) Observed {
	o := Observed{Key: key, Mark: p.service.Mark, Scheduler: model.Scheduler(p.service.Scheduler), Counters: p.service.Counters}
	if p.service.Flags&FlagPersistent != 0 {
		o.Persistence = &model.Persistence{
			Timeout:      time.Duration(p.service.Timeout) * time.Second,
			PrefixLength: p.service.PrefixLength,
		}
	}
	for _, d := range p.servers {
		o.Servers = append(o.Servers, ObservedServer{
			Address: d.Address, Weight: d.Weight, Active: d.Active, Inactive: d.Inactive, Counters: d.Counters,
		})
	}
	slices.SortFunc(o.Servers, func(a, b ObservedServer) int { return a.Address.Compare(b.Address) })
	return o
}
