package ipvs

import (
	"context"
	"errors"
	"fmt"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/model"
)

// rounds is how often a call writes: what the kernel answers with surprise to is read and written
// once more, and what another program does meanwhile too; then the next call has its turn.
const rounds = 4

// write makes the kernel what is wanted, starting from what is known, and reads the table after it. It
// is settled if nothing is left to be written.
func (d *Driver) write(ctx context.Context) []error {
	var errs []error
	if d.memory.doubt != nil {
		errs = append(errs, fmt.Errorf("ipvs: the list of services could not be read, so leftovers may stay until the next time: %w", d.memory.doubt))
	}
	ids := d.all()
	for round := 1; len(ids) > 0 && round <= rounds; round++ {
		o := d.round(ctx, ids)
		errs = append(errs, o.errs...)
		if len(o.surprises) == 0 || round == rounds {
			errs = append(errs, o.doubtful...)
		}
		if o.lost != nil { // what the kernel has is not known any more
			d.memory.forget()
			d.settled = false
			return append(errs, o.lost)
		}
		ids = sorted(o.surprises)
		if len(ids) == 0 && o.wrote {
			ids = d.readBack(ctx)
		}
	}
	d.settled = len(errs) == 0 && len(ids) == 0 && d.memory.known != nil
	return errs
}

// all are the services that are wanted or there.
func (d *Driver) all() []genl.ServiceID {
	both := make(map[genl.ServiceID]struct{}, len(d.want))
	for id := range d.want {
		both[id] = struct{}{}
	}
	for id := range d.memory.known {
		both[id] = struct{}{}
	}
	return sorted(both)
}

// readBack looks at the table after writes and returns the services that are not as written. What
// cannot be read now is read the next time.
func (d *Driver) readBack(ctx context.Context) []genl.ServiceID {
	before := d.memory.known
	d.memory.known = make(map[genl.ServiceID]present, len(before))
	for id, p := range before {
		d.memory.known[id] = p
	}
	quiet, err := d.readTable(ctx)
	if err != nil || d.memory.known == nil {
		d.memory.forget()
	}
	if quiet || err != nil {
		return nil
	}
	var changed []genl.ServiceID
	for id, p := range d.memory.known {
		if old, there := before[id]; !there || !old.equal(&p) {
			changed = append(changed, id)
		}
	}
	for id := range before {
		if _, there := d.memory.known[id]; !there {
			changed = append(changed, id)
		}
	}
	return changed
}

// outcome is what became of a round.
type outcome struct {
	errs []error
	// surprises are services that are not as they were known; doubtful what the kernel answered
	// there, which counts if nothing better comes.
	surprises map[genl.ServiceID]struct{}
	doubtful  []error
	wrote     bool
	lost      error
}

// round writes what is missing of some services.
func (d *Driver) round(ctx context.Context, ids []genl.ServiceID) outcome {
	changes, refuted, err := d.confirm(ctx, steps(ids, d.want, d.memory.known))
	o := outcome{surprises: map[genl.ServiceID]struct{}{}}
	for _, id := range refuted {
		o.surprises[id] = struct{}{}
	}
	if err != nil {
		_, err = explain(err)
		o.errs = append(o.errs, fmt.Errorf("ipvs: what is not wanted any more stays for now, for it cannot be read twice: %w", err))
	}
	if len(changes) > 0 {
		d.apply(ctx, changes, &o)
	}
	if len(o.surprises) > 0 {
		if err := d.reread(ctx, sorted(o.surprises)); err != nil {
			_, err = explain(err)
			o.errs, o.doubtful = append(o.errs, o.doubtful...), nil
			o.lost = fmt.Errorf("ipvs: read services: %w", err)
		}
	}
	return o
}

// apply makes changes and notes what became of them.
func (d *Driver) apply(ctx context.Context, changes []genl.Change, o *outcome) {
	d.memory.image = d.memory.image[:0]
	o.wrote = true
	failed := map[genl.ServiceID]bool{} // services that could not be added
	for i, err := range d.config.Kernel.Apply(ctx, changes) {
		c := &changes[i]
		if err == nil || gone(c, err) {
			note(d.memory.known, c)
			d.lastWeights.note(c)
			continue
		}
		id := c.Service.ServiceID
		switch {
		case failed[id]:
		case surprising(err):
			o.surprises[id] = struct{}{}
			o.doubtful = append(o.doubtful, d.stepError(c, err))
		default:
			failed[id] = c.Command == genl.NewService
			o.errs = append(o.errs, d.stepError(c, err))
		}
	}
}

// gone: what was to be removed is not there.
func gone(c *genl.Change, err error) bool {
	return c.Command == genl.DelService && errors.Is(err, genl.ErrNoService) ||
		c.Command == genl.DelDest && (errors.Is(err, genl.ErrNoService) || errors.Is(err, genl.ErrNoDestination))
}

// surprising: the kernel's state is not as known, or not known any more.
func surprising(err error) bool {
	for _, kind := range []error{genl.ErrExists, genl.ErrNoService, genl.ErrNoDestination, genl.ErrOverrun, genl.ErrTimeout} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// stepError makes an item error of what the kernel answered to a change.
func (d *Driver) stepError(c *genl.Change, err error) *model.ItemError {
	t := d.want[c.Service.ServiceID]
	reason, explained := explainChange(c, err)
	key := t.key
	if key == "" {
		key = fmt.Sprintf("%#x", c.Service.Mark)
	}
	return &model.ItemError{Key: key, Reason: reason, Err: fmt.Errorf("%s: %w", describe(&t, c), explained)}
}
