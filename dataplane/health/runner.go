package health

import (
	"context"
	"net/netip"
	"time"
)

// runner is one target being checked. Its goroutine runs Monitor.run; everything that changes is
// guarded by Monitor.mu.
type runner struct {
	target  Target
	probers []prober
	// fliers are those probers that a loop can carry on; nil: another.
	fliers []flier
	// ctx ends when the target is removed or replaced, or the Monitor closed.
	ctx  context.Context
	stop context.CancelFunc
	// before is closed when the runner that this one replaces has let go of its connection;
	// nil if there was none.
	before <-chan struct{}
	done   chan struct{}

	checks []progress
	slots  []slot
	// base is the verdict without notes, see decide; verdict is what is shown.
	base, verdict Verdict
}

// newRunner builds the runner of a normal target. From the one it replaces, if any, it takes over
// what Monitor.Set promises; slots whose due time is zero are new.
func newRunner(ctx context.Context, t Target, old *runner) *runner {
	r := &runner{target: t, done: make(chan struct{}), slots: make([]slot, len(t.Checks))}
	r.ctx, r.stop = context.WithCancel(ctx)
	state := t.Initial.start()
	r.base = t.Initial.verdict(t.Address)
	if old != nil {
		old.stop()
		r.before = old.done
	}
	inherit := old != nil && old.target.Address == t.Address
	if inherit {
		r.base, r.verdict = old.base, old.verdict
		state = old.base.assumed()
	}
	for i, c := range t.Checks {
		asking := newProber(t.Address, c)
		r.probers, r.fliers = append(r.probers, asking), append(r.fliers, flierOf(asking))
		p := progress{check: c, state: state, at: netip.AddrPortFrom(t.Address, c.Port)}
		if inherit {
			p, r.slots[i] = old.continued(c, p)
		}
		r.checks = append(r.checks, p)
	}
	return r
}

// assumed is the state that a check starts in on a target with this verdict.
func (v Verdict) assumed() State {
	switch {
	case v.Healthy:
		return State{Status: Healthy, Assumed: true}
	case v.Known:
		return State{Status: Unhealthy, Assumed: true}
	default:
		return State{}
	}
}

// continued returns the progress of the check that asked the same as c, at c's pace, and when it is
// due; fresh and a zero slot if there is none.
func (r *runner) continued(c Check, fresh progress) (progress, slot) {
	for i, p := range r.checks {
		if p.check.asksTheSame(c) {
			s := r.slots[i]
			if p.check.policy() != c.policy() {
				s.due = time.Time{}
			}
			p.check = c
			return p, s
		}
	}
	return fresh, slot{}
}

// ask makes a check: one probe, and further ones if the server keeps silent.
func (m *Monitor) ask(r *runner, i int) []Result {
	m.mu.Lock()
	further, patience := r.checks[i].further()
	m.mu.Unlock()
	return fire(r.ctx, func(ctx context.Context) Result { return m.probe(ctx, r.probers[i]) }, further, patience)
}

// run makes the target's checks, one at a time, until it is stopped.
func (m *Monitor) run(r *runner) {
	defer close(r.done)
	defer r.stop()
	if r.before != nil {
		<-r.before
	}
	if len(r.checks) == 0 {
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if first, ok := m.steady(r); ok {
			e, ok := m.loop.cruise(r.ctx, pilotOf{m, r}, first)
			if !ok {
				return
			}
			m.record(r, e.leg.check, m.follow(r, e), e.start, time.Now())
			continue
		}
		i, wait := m.next(r)
		timer.Reset(wait)
		select {
		case <-r.ctx.Done():
			return
		case <-timer.C:
		}
		if r.ctx.Err() != nil { // both were ready, and select picks at random
			return
		}
		start := time.Now()
		results := m.ask(r, i)
		m.record(r, i, results, start, time.Now())
	}
}

func (m *Monitor) next(r *runner) (int, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return pick(r.slots, time.Now())
}

// record takes in results, unless the runner has been stopped: its probes were then cut short.
func (m *Monitor) record(r *runner, i int, results []Result, start, end time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.ctx.Err() == nil {
		m.take(r, i, results, start, end)
	}
}

// take takes in results. Call it with m.mu held.
func (m *Monitor) take(r *runner, i int, results []Result, start, end time.Time) {
	p := &r.checks[i]
	var delay time.Duration
	news := !p.plain()
	for _, result := range results {
		delay = p.record(result)
		if result.Grade == Pass {
			p.learn(end.Sub(start))
		} else {
			m.cfg.Log.V(1).Info("Health check did not pass", "target", r.target.Key, "reason", result.Reason, "message", result.Message)
		}
	}
	deciding := p.state.Deciding()
	if !deciding {
		delay = jittered(m.rand, delay, m.cfg.Jitter)
	}
	due := nextDue(start, end, delay, deciding, p.check.FastPeriod)
	if !deciding {
		due = aligned(m.origin, due)
	}
	r.slots[i] = slot{due: due, deciding: deciding}
	if news || !p.plain() {
		m.publish(r)
	}
}

// plain tells that the check is decided, passes and has nothing to add: another pass is no news.
func (p *progress) plain() bool {
	return p.state == State{Status: Healthy} && p.last.Grade == Pass && p.last.Reason == "" && p.check.Type != Agent
}

// publish brings a target's verdict up to date and tells whom it concerns. Call it with m.mu held.
func (m *Monitor) publish(r *runner) {
	before := r.verdict
	r.base = decide(r.base, r.checks)
	r.verdict = dated(before, annotate(r.base, r.checks), m.cfg.Now())
	r.verdict.Agent = agentSays(r.checks)
	if r.verdict.sameButSince(before) {
		return
	}
	m.notify.changed(r.target.Key)
	if r.verdict.Healthy != before.Healthy || r.verdict.Known != before.Known {
		m.cfg.Log.Info("Health changed", "target", r.target.Key, "address", r.target.Address,
			"healthy", r.verdict.Healthy, "known", r.verdict.Known, "reason", r.verdict.Reason, "message", r.verdict.Message)
	}
}
