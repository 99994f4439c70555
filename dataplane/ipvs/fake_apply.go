package ipvs

import (
	"context"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
)

// Apply implements Kernel.
func (f *Fake) Apply(ctx context.Context, changes []genl.Change) []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	results := make([]error, len(changes))
	for i, c := range changes {
		f.changes = append(f.changes, c)
		results[i] = f.apply(ctx, c)
	}
	return results
}

func (f *Fake) apply(ctx context.Context, c genl.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f.missing(); err != nil {
		return err
	}
	if f.Refuse != nil {
		if err := f.Refuse(c); err != nil {
			return err
		}
	}
	if errno := f.change(&c); errno != 0 {
		return genl.Refusal(c, errno)
	}
	return nil
}

// change is ip_vs_genl_set_cmd of ip_vs_ctl.c.
func (f *Fake) change(c *genl.Change) unix.Errno {
	found := f.find(c.Service.ServiceID)
	switch {
	case c.Command == genl.NewService && found != nil:
		return unix.EEXIST
	case c.Command == genl.NewService:
		s := c.Service
		s.Stats = genl.Stats{}
		f.services = append(f.services, &fakeService{Service: s})
		return 0
	case found == nil:
		return unix.ESRCH
	case c.Command == genl.SetService:
		c.Service.Stats = found.Stats
		found.Service = c.Service
		return 0
	case c.Command == genl.DelService:
		f.services = slices.DeleteFunc(f.services, func(o *fakeService) bool { return o == found })
		return 0
	}
	return found.change(c)
}

func (s *fakeService) change(c *genl.Change) unix.Errno {
	d := bare(c.Destination)
	at := slices.IndexFunc(s.destinations, func(o genl.Destination) bool { return o.Address == d.Address })
	switch {
	case c.Command == genl.NewDest && at >= 0:
		return unix.EEXIST
	case c.Command != genl.NewDest && at < 0:
		return unix.ENOENT
	case c.Command == genl.DelDest:
		s.destinations = slices.Delete(s.destinations, at, at+1)
		return 0
	case d.LowerThreshold > d.UpperThreshold:
		return unix.ERANGE
	case d.Address.Addr().IsMulticast() || d.Address.Addr().Is6() != s.Is6() && d.Forward != genl.Tunnel:
		return unix.EINVAL
	case c.Command == genl.NewDest:
		s.destinations = append([]genl.Destination{d}, s.destinations...)
		return 0
	}
	old := s.destinations[at]
	d.Active, d.Inactive, d.Persistent, d.Stats = old.Active, old.Inactive, old.Persistent, old.Stats
	s.destinations[at] = d
	return 0
}
