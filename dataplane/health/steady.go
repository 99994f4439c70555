package health

import (
	"context"
	"sync/atomic"
	"time"
)

// steady returns the next probe of a target that can go on a cruise: all its checks are decided, pass, and
// are conversations that the loop carries on.
func (m *Monitor) steady(r *runner) (leg, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.nextLeg(r)
}

// nextLeg is steady with m.mu held.
func (m *Monitor) nextLeg(r *runner) (leg, bool) {
	if r.ctx.Err() != nil || m.cfg.Dial != nil {
		return leg{}, false
	}
	for i := range r.checks {
		if !r.checks[i].plain() || r.fliers[i] == nil {
			return leg{}, false
		}
	}
	i, _ := pick(r.slots, time.Now())
	_, patience := r.checks[i].further()
	return leg{check: i, prober: r.fliers[i], due: r.slots[i].due, patience: patience}, true
}

// pilotOf is what a target's cruise asks.
type pilotOf struct {
	m *Monitor
	r *runner
}

// passed implements pilot.
func (p pilotOf) passed(l leg, start, end time.Time) (leg, bool) {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	if p.r.ctx.Err() != nil {
		return leg{}, false
	}
	pass := [1]Result{}
	p.m.take(p.r, l.check, pass[:], start, end)
	return p.m.nextLeg(p.r)
}

// follow finds out about the probe that ended a cruise. While it is in the air further ones are made.
func (m *Monitor) follow(r *runner, e ending) []Result {
	p := e.leg.prober
	switch {
	case e.err != nil:
		return []Result{p.where().dialResult(e.err)}
	case !e.aloft:
		return []Result{p.landed(e.flight)}
	}
	m.mu.Lock()
	further, _ := r.checks[e.leg.check].further()
	m.mu.Unlock()
	var taken atomic.Bool
	return fire(r.ctx, func(ctx context.Context) Result {
		if taken.CompareAndSwap(false, true) {
			return m.loop.await(ctx, e.flight, p)
		}
		return m.probe(ctx, p)
	}, further, 0)
}
