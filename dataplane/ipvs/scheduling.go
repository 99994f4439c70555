package ipvs

import (
	"context"
	"fmt"
	"time"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/schedule"
	"github.com/truepacs/balancer/dataplane/model"
)

// Scheduling is one of our services as the kernel schedules it now.
type Scheduling struct {
	schedule.Service
	// Names are those of the servers, in their order; empty for one that the last Set did not name.
	Names []string
	// Guessed are the names of servers whose LastWeight is not known; it is the configured one then.
	Guessed []string
	// Persistence is nil if clients are not remembered.
	Persistence *model.Persistence
	// OnePacket says that each packet is scheduled by itself.
	OnePacket bool
}

// Scheduling reads one of our services by netlink, its servers in the kernel's order. An error that
// is genl.ErrNoService or genl.ErrNoModule says that the kernel does not have it.
func (d *Driver) Scheduling(ctx context.Context, mark uint32, ipv6 bool) (Scheduling, error) {
	id := genl.ByMark(mark, ipv6)
	s, err := d.config.Kernel.Service(ctx, id)
	if err != nil {
		return Scheduling{}, fmt.Errorf("ipvs: read %s: %w", id, err)
	}
	found, err := d.config.Kernel.Destinations(ctx, id)
	if err != nil {
		return Scheduling{}, fmt.Errorf("ipvs: read servers of %s: %w", id, err)
	}
	out := Scheduling{OnePacket: s.Flags&genl.FlagOnePacket != 0, Service: schedule.Service{
		Scheduler: model.Scheduler(s.Scheduler),
		Flags:     model.SchedulerFlags{Fallback: s.Flags&genl.FlagFallback != 0, Port: s.Flags&genl.FlagPort != 0},
	}}
	if s.Flags&genl.FlagPersistent != 0 {
		out.Persistence = &model.Persistence{Timeout: time.Duration(s.TimeoutSeconds) * time.Second, PrefixLength: s.PrefixLength}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range found {
		d.describe(id, &found[i], &out)
	}
	return out, nil
}

// describe adds a server.
func (d *Driver) describe(id genl.ServiceID, found *genl.Destination, out *Scheduling) {
	name := d.want[id].names[found.Address]
	last, known := d.lastWeights.of(id, found)
	if !known {
		last = d.configured(id, name)
		out.Guessed = append(out.Guessed, name)
	}
	out.Names = append(out.Names, name)
	out.Servers = append(out.Servers, schedule.Server{
		Address: found.Address, Weight: found.Weight, LastWeight: last,
		Active: found.Active, Inactive: found.Inactive, Upper: found.UpperThreshold, Lower: found.LowerThreshold,
	})
}

// configured is the weight that a server of the last Set has or, if that is none, one server's share
// of others: the largest of them.
func (d *Driver) configured(id genl.ServiceID, name string) int {
	most := 0
	for i := range d.wishes {
		s := &d.wishes[i]
		if s.Mark != id.Mark || s.IPv6() != id.Is6() {
			continue
		}
		for _, server := range s.Servers {
			if server.Name == name && server.Weight > 0 {
				return server.Weight
			}
			most = max(most, server.Weight)
		}
	}
	return most
}
