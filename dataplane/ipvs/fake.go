package ipvs

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/procfs"
)

// Fake is IPVS in memory, for tests of this and other packages. It answers with the errors that
// Linux answers with. The zero value has no service and every scheduler; it may be used from
// several goroutines.
type Fake struct {
	// Missing makes it a kernel without IPVS.
	Missing bool
	// Refuse, if set, is asked before each change; its error is returned.
	Refuse func(genl.Change) error
	// Unlisted are services that netlink's list lacks although they are there, as a list does
	// that is read while others change it; Interrupted makes lists fail.
	Unlisted    func(genl.ServiceID) bool
	Interrupted bool
	// Unshown are services that the table of /proc lacks although they are there.
	Unshown func(genl.ServiceID) bool

	mu          sync.Mutex
	services    []*fakeService
	timeouts    genl.Timeouts
	changes     []genl.Change
	reads       Reads
	connections []procfs.Connection
}

// Reads are how often a Fake was asked for something.
type Reads struct {
	Tables, Lists, Services, Destinations int
}

type fakeService struct {
	genl.Service
	destinations []genl.Destination
}

var _ Kernel = (*Fake)(nil)

// Changes returns the changes that were asked for, refused ones too.
func (f *Fake) Changes() []genl.Change {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.changes)
}

// Reads returns how often what was read.
func (f *Fake) Reads() Reads {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reads
}

// SetFigures sets what the kernel counts for a server.
func (f *Fake) SetFigures(mark uint32, server netip.Addr, active, inactive uint32, total genl.Stats) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.services {
		for i := range s.destinations {
			if d := &s.destinations[i]; s.Mark == mark && d.Address.Addr() == server {
				d.Active, d.Inactive, d.Stats = active, inactive, total
			}
		}
	}
}

// SetConnections sets the table of connections.
func (f *Fake) SetConnections(all ...procfs.Connection) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.connections = all
}

// Loaded implements Kernel.
func (f *Fake) Loaded() bool { return !f.Missing }

func (f *Fake) missing() error {
	if f.Missing {
		return fmt.Errorf("ipvs: %w", genl.ErrNoModule)
	}
	return nil
}

// Services implements Kernel.
func (f *Fake) Services(context.Context) ([]genl.Service, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads.Lists++
	if f.Interrupted {
		return nil, fmt.Errorf("ipvs: %w", genl.ErrInterrupted)
	}
	var all []genl.Service
	for _, s := range f.services {
		if f.Unlisted == nil || !f.Unlisted(s.ServiceID) {
			all = append(all, s.Service)
		}
	}
	return all, f.missing()
}

// Service implements Kernel.
func (f *Fake) Service(_ context.Context, id genl.ServiceID) (genl.Service, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads.Services++
	if found := f.find(id); found != nil {
		return found.Service, f.missing()
	}
	return genl.Service{}, fmt.Errorf("ipvs: %s: %w", id, genl.ErrNoService)
}

// Destinations implements Kernel.
func (f *Fake) Destinations(_ context.Context, id genl.ServiceID) ([]genl.Destination, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads.Destinations++
	if found := f.find(id); found != nil {
		return slices.Clone(found.destinations), f.missing()
	}
	return nil, fmt.Errorf("ipvs: %s: %w", id, genl.ErrNoService)
}

func (f *Fake) find(id genl.ServiceID) *fakeService {
	for _, s := range f.services {
		if s.ServiceID == id {
			return s
		}
	}
	return nil
}

// Connections implements Kernel.
func (f *Fake) Connections(ctx context.Context, visit func(*procfs.Connection) error) error {
	f.mu.Lock()
	all := slices.Clone(f.connections)
	f.mu.Unlock()
	for i := range all {
		if err := visit(&all[i]); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Timeouts implements Kernel; fresh ones are Linux's.
func (f *Fake) Timeouts(context.Context) (genl.Timeouts, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.timeouts == (genl.Timeouts{}) {
		f.timeouts = genl.Timeouts{TCP: 15 * time.Minute, TCPFin: 2 * time.Minute, UDP: 5 * time.Minute}
	}
	return f.timeouts, f.missing()
}

// SetTimeouts implements Kernel.
func (f *Fake) SetTimeouts(ctx context.Context, t genl.Timeouts) error {
	now, err := f.Timeouts(ctx)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, pair := range []struct{ now, next *time.Duration }{{&now.TCP, &t.TCP}, {&now.TCPFin, &t.TCPFin}, {&now.UDP, &t.UDP}} {
		if *pair.next != 0 {
			*pair.now = *pair.next
		}
	}
	f.timeouts = now
	return nil
}
