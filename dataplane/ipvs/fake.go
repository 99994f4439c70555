package ipvs

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Fake is IPVS in memory, for tests of this and other packages. It answers with the errors that
// Linux answers with. The zero value has no service and every scheduler; it may be used from
// several goroutines.
type Fake struct {
	// Missing makes it a kernel without IPVS.
	Missing bool
	// Refuse, if set, is asked before each step; its error is returned.
	Refuse func(Step) error

	mu       sync.Mutex
	services []*fakeService
	timeouts Timeouts
	steps    []Step
}

type fakeService struct {
	service      Service
	destinations []Destination
}

var _ Kernel = (*Fake)(nil)

// Steps returns the steps that were asked for, refused ones too.
func (f *Fake) Steps() []Step {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.steps)
}

// SetConnections sets what the kernel counts for a server.
func (f *Fake) SetConnections(mark uint32, server netip.Addr, active, inactive int, total Counters) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.services {
		for i := range s.destinations {
			if d := &s.destinations[i]; s.service.Mark == mark && d.Address == server {
				d.Active, d.Inactive, d.Counters = active, inactive, total
			}
		}
	}
}

// Loaded implements Kernel.
func (f *Fake) Loaded() bool { return !f.Missing }

// Services implements Kernel.
func (f *Fake) Services(context.Context) ([]Service, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Missing {
		return nil, ErrModuleMissing
	}
	var all []Service
	for _, s := range f.services {
		all = append(all, s.service)
	}
	return all, nil
}

// Destinations implements Kernel.
func (f *Fake) Destinations(_ context.Context, s Service) ([]Destination, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := f.find(s)
	if found == nil {
		return nil, syscall.ESRCH
	}
	return slices.Clone(found.destinations), nil
}

func (f *Fake) find(s Service) *fakeService {
	for _, o := range f.services {
		if o.service.Mark == s.Mark && o.service.Protocol == s.Protocol && o.service.Address == s.Address {
			return o
		}
	}
	return nil
}

// Apply implements Kernel.
func (f *Fake) Apply(_ context.Context, step Step) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Missing {
		return ErrModuleMissing
	}
	f.steps = append(f.steps, step)
	if f.Refuse != nil {
		if err := f.Refuse(step); err != nil {
			return err
		}
	}
	found := f.find(step.Service)
	switch {
	case step.Act == AddService && found == nil:
		f.services = append(f.services, &fakeService{service: step.Service})
		return nil
	case step.Act == AddService:
		return syscall.EEXIST
	case found == nil:
		return syscall.ESRCH
	case step.Act == UpdateService:
		step.Service.Counters = found.service.Counters
		found.service = step.Service
		return nil
	case step.Act == RemoveService:
		f.services = slices.DeleteFunc(f.services, func(o *fakeService) bool { return o == found })
		return nil
	}
	return found.apply(step)
}

func (s *fakeService) apply(step Step) error {
	at := slices.IndexFunc(s.destinations, func(d Destination) bool { return d.id() == step.Destination.id() })
	switch {
	case step.Act == AddDestination && at >= 0:
		return syscall.EEXIST
	case step.Act == AddDestination:
		s.destinations = append(s.destinations, step.Destination)
		return nil
	case at < 0:
		return syscall.ENOENT
	case step.Act == RemoveDestination:
		s.destinations = slices.Delete(s.destinations, at, at+1)
		return nil
	}
	old, next := s.destinations[at], step.Destination
	next.Active, next.Inactive, next.Counters = old.Active, old.Inactive, old.Counters
	s.destinations[at] = next
	return nil
}

// Timeouts implements Kernel; fresh ones are Linux's.
func (f *Fake) Timeouts(context.Context) (Timeouts, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Missing {
		return Timeouts{}, ErrModuleMissing
	}
	if f.timeouts == (Timeouts{}) {
		return Timeouts{TCP: 15 * time.Minute, TCPFin: 2 * time.Minute, UDP: 5 * time.Minute}, nil
	}
	return f.timeouts, nil
}

// SetTimeouts implements Kernel.
func (f *Fake) SetTimeouts(ctx context.Context, t Timeouts) error {
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
