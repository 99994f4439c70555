package ipvs

import (
	"context"
	"errors"
	"fmt"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
)

const (
	// listEvery is how many calls pass until the list of services is read by netlink again.
	listEvery = 32
	// slice is of how many services the destinations are read by netlink with each call.
	slice = 8
	// few is up to how many services are asked for one by one instead of all at once.
	few = 64
)

// memory is what the driver knows of the kernel.
type memory struct {
	known   map[genl.ServiceID]present // of our services; nil: read all
	order   []genl.ServiceID           // the known in the order in which their turn comes
	turn    int
	calls   int              // since the last list
	image   []byte           // the table as it shows what is known; empty: not known
	unshown []genl.ServiceID // are known and not in the image
	spare   []byte           // for the next reading
	rate    uint32           // ticks a second
	alone   bool             // there are no services of others; false: there are, or nobody knows
	doubt   error            // why the list of services may lack some
}

func (m *memory) forget() { *m = memory{spare: m.spare, rate: m.rate} }

// observe makes known what the kernel has. quiet: nothing has changed.
func (d *Driver) observe(ctx context.Context) (quiet bool, err error) {
	m := &d.memory
	if m.known == nil {
		return false, d.readAll(ctx)
	}
	quiet, err = d.readTable(ctx)
	if err != nil {
		return false, err
	}
	m.calls++
	if m.calls >= listEvery || m.doubt != nil {
		same, err := d.readList(ctx)
		if err != nil {
			return false, err
		}
		quiet = quiet && same
	}
	same, err := d.readSlice(ctx)
	return quiet && same, err
}

// readAll reads everything by netlink.
func (d *Driver) readAll(ctx context.Context) error {
	m := &d.memory
	m.forget()
	services, err := d.config.Kernel.Services(ctx)
	if errors.Is(err, genl.ErrInterrupted) {
		m.doubt = err
		m.known = map[genl.ServiceID]present{}
		return d.reread(ctx, sorted(d.want))
	}
	if err != nil {
		return err
	}
	known, alone := make(map[genl.ServiceID]present, len(services)), true
	for _, s := range services {
		if !d.config.Marks.own(s.Mark) {
			alone = false
			continue
		}
		found, err := d.config.Kernel.Destinations(ctx, s.ServiceID)
		if errors.Is(err, genl.ErrNoService) {
			continue // removed meanwhile
		}
		if err != nil {
			return err
		}
		known[s.ServiceID] = presentOf(s, found)
	}
	m.known, m.alone = known, alone
	return nil
}

// readTable looks at the table; what is not there as it is known is read by netlink.
func (d *Driver) readTable(ctx context.Context) (quiet bool, err error) {
	m := &d.memory
	text, err := d.config.Kernel.Table(ctx, m.spare[:0])
	m.spare = text
	if errors.Is(err, genl.ErrNoModule) {
		return false, d.readAll(ctx)
	}
	if err != nil {
		return false, err
	}
	if sameTable(m.image, text) {
		return d.check(ctx, m.unshown)
	}
	m.image = m.image[:0]
	c, err := d.config.Marks.compare(text, m.known, m.rate)
	if err != nil { // another kernel's form: netlink knows
		return false, d.readAll(ctx)
	}
	m.rate, m.alone = c.rate, !c.foreign
	same, err := d.check(ctx, append(sorted(c.suspects), c.missing...))
	if err == nil && same && len(c.suspects) == 0 && len(c.missing) <= few {
		m.image, m.spare, m.unshown = text, m.image, c.missing
	}
	return same, err
}

// readList holds netlink's list against what is known.
func (d *Driver) readList(ctx context.Context) (same bool, err error) {
	m := &d.memory
	services, err := d.config.Kernel.Services(ctx)
	if errors.Is(err, genl.ErrInterrupted) {
		m.doubt = err
		return true, nil
	}
	if err != nil {
		return false, err
	}
	m.calls, m.doubt = 0, nil
	missing := make(map[genl.ServiceID]struct{}, len(m.known))
	for id := range m.known {
		missing[id] = struct{}{}
	}
	var suspects []genl.ServiceID
	for _, s := range services {
		p, known := m.known[s.ServiceID]
		delete(missing, s.ServiceID)
		if d.config.Marks.own(s.Mark) && (!known || !p.service.Equal(s)) {
			suspects = append(suspects, s.ServiceID)
		}
	}
	return d.check(ctx, append(suspects, sorted(missing)...))
}

// readSlice reads the destinations of the services whose turn it is.
func (d *Driver) readSlice(ctx context.Context) (same bool, err error) {
	m := &d.memory
	if m.turn >= len(m.order) {
		m.order, m.turn = sorted(m.known), 0
	}
	same = true
	for range slice {
		if m.turn >= len(m.order) {
			break
		}
		id := m.order[m.turn]
		m.turn++
		p, known := m.known[id]
		if !known {
			continue
		}
		found, err := d.config.Kernel.Destinations(ctx, id)
		if err != nil && !errors.Is(err, genl.ErrNoService) {
			return false, err
		}
		if now := presentOf(p.service, found); err != nil || !now.equal(&p) {
			unchanged, err := d.check(ctx, []genl.ServiceID{id})
			if err != nil {
				return false, err
			}
			same = same && unchanged
		}
	}
	return same, nil
}

// check reads services by netlink and tells whether they are as known.
func (d *Driver) check(ctx context.Context, ids []genl.ServiceID) (same bool, err error) {
	m := &d.memory
	before := make([]present, len(ids))
	for i, id := range ids {
		before[i] = m.known[id]
	}
	if err := d.reread(ctx, ids); err != nil {
		return false, err
	}
	same = true
	for i, id := range ids {
		now := m.known[id]
		same = same && now.equal(&before[i])
	}
	if !same {
		m.image = m.image[:0]
	}
	return same, nil
}

// reread reads services and their destinations by netlink.
func (d *Driver) reread(ctx context.Context, ids []genl.ServiceID) error {
	services, err := d.ask(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		s, there := services[id]
		if !there {
			delete(d.memory.known, id)
			continue
		}
		found, err := d.config.Kernel.Destinations(ctx, id)
		switch {
		case errors.Is(err, genl.ErrNoService):
			delete(d.memory.known, id)
		case err != nil:
			return fmt.Errorf("read servers of %s: %w", id, err)
		default:
			d.memory.known[id] = presentOf(s, found)
		}
	}
	return nil
}

// ask asks for services: for few one by one, for more by a list, which may lack some. What is
// interrupted is asked for one by one.
func (d *Driver) ask(ctx context.Context, ids []genl.ServiceID) (map[genl.ServiceID]genl.Service, error) {
	found := make(map[genl.ServiceID]genl.Service, len(ids))
	if len(ids) > few && d.memory.doubt == nil {
		services, err := d.config.Kernel.Services(ctx)
		for _, s := range services {
			found[s.ServiceID] = s
		}
		if !errors.Is(err, genl.ErrInterrupted) {
			return found, err
		}
	}
	for _, id := range ids {
		s, err := d.config.Kernel.Service(ctx, id)
		if errors.Is(err, genl.ErrNoService) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found[id] = s
	}
	return found, nil
}
