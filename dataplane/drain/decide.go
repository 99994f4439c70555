package drain

import (
	"cmp"
	"slices"
	"time"

	"github.com/truepacs/balancer/dataplane/model"
)

// Phase is how far a server that leaves has come.
type Phase string

const (
	// Draining says that connections go on and no new ones come.
	Draining Phase = "Draining"
	// Resetting says that the time is over and connections are being reset.
	Resetting Phase = "Resetting"
	// Drained says that no connection is left.
	Drained Phase = "Drained"
)

const (
	// grace is how long resets may take before the kernel forgets the server.
	grace = 15 * time.Second
	// emptyReadings is how many readings in a row must find nothing: the kernel's table may leave out
	// an entry while others come and go, and the first may precede the weight 0.
	emptyReadings = 2
	// resetReadings is how many readings a flow is reset on after it was last open: the server learns
	// of the reset first, which closes the kernel's entry, and the client with its next packet.
	resetReadings = 3
	// showEvery is the least time between two numbers that are shown of one phase: what reads them
	// may be far away.
	showEvery = 5 * time.Second
)

// Key names a server of a service.
type Key struct{ Service, Server string }

// Status is how far a server that leaves has come.
type Status struct {
	// Phase is how far it has come.
	Phase Phase
	// Counted says that Connections is known.
	Counted bool
	// Connections is how many are left, at most five seconds ago.
	Connections int
	// Since is when it began to leave.
	Since time.Time
	// Deadline is when what is left will be reset; zero: never.
	Deadline time.Time
}

// Result is a decision.
type Result struct {
	// Services are the given ones with the states that the kernel shall have: Drain keeps the
	// server without weight, Maintenance leaves it out.
	Services []model.VirtualService
	// Resets are the connections that are to be reset.
	Resets []Flow
	// Statuses are those of the servers that leave.
	Statuses map[Key]Status
	// Memory is to be given to the next call.
	Memory Memory
	// Act says that the kernel must be told: its states or the connections to be reset changed, or
	// there are some.
	Act bool
	// Next is when to decide again, with a Tally if one is due; zero: when something else happens.
	Next time.Time
}

// Decide says what becomes of the servers that leave. tally is nil if none was due or the table
// could not be read; then the last one counts.
func Decide(services []model.VirtualService, tally *Tally, before Memory, now time.Time) Result {
	now = now.UTC().Round(0)
	r := Result{
		Services: slices.Clone(services), Statuses: map[Key]Status{},
		Memory: Memory{servers: map[string]entry{}, readAt: before.readAt},
	}
	if tally != nil {
		r.Memory.readAt = now
	}
	for i := range r.Services {
		s, copied := &r.Services[i], false
		for j := range s.Servers {
			if s.Servers[j].State == model.Active {
				continue
			}
			if !copied {
				s.Servers, copied = slices.Clone(s.Servers), true
			}
			r.leave(s, &s.Servers[j], tally, before, now)
		}
	}
	for key, e := range before.servers {
		if _, still := r.Memory.servers[key]; !still && (e.out || len(e.flows) > 0) {
			r.Act = true
		}
	}
	slices.SortFunc(r.Resets, compareFlows)
	r.Act = r.Act || len(r.Resets) > 0
	return r
}

func compareFlows(a, b Flow) int {
	return cmp.Or(a.Client.Compare(b.Client), a.Virtual.Compare(b.Virtual))
}

// leave decides about one server.
func (r *Result) leave(s *model.VirtualService, server *model.RealServer, tally *Tally, before Memory, now time.Time) {
	key := identity(s, server)
	old := before.servers[key]
	e := old
	if !e.is(server.State) {
		e = entry{Start: Start{State: server.State, Since: now}}
	}
	if e.Since.After(now) { // the clock was set back
		e.Since = now
	}
	if tally != nil {
		e.count(tally.counts[endOf(s, server)])
	}
	e.advance(s, now)
	e.show(s, now)
	r.Act = r.Act || e.out != old.out || len(e.flows) != len(old.flows)
	r.Memory.servers[key] = e
	r.Statuses[Key{s.Key, server.Name}] = e.shown
	for flow := range e.flows {
		r.Resets = append(r.Resets, flow)
	}
	server.State = model.Drain
	if e.out {
		server.State = model.Maintenance
	}
	r.wake(e, e.deadline(s), now)
}

// wake asks to be called when the server may have come further.
func (r *Result) wake(e entry, deadline, now time.Time) {
	at := now.Add(readEvery)
	switch {
	case e.out:
		return
	case e.phase == Drained:
		at = now.Add(rereadEvery)
	}
	if deadline.After(now) && deadline.Before(at) {
		at = deadline
	}
	if r.Next.IsZero() || at.Before(r.Next) {
		r.Next = at
	}
}

// count takes over a reading; nil: the server is not watched.
func (e *entry) count(n *count) {
	if n == nil {
		return
	}
	e.counted, e.open, e.tcp = true, n.open, n.tcp
	e.empty++
	if n.open > 0 {
		e.empty = 0
	}
	flows := map[Flow]int{}
	for flow, age := range e.flows {
		if age+1 < resetReadings {
			flows[flow] = age + 1
		}
	}
	for _, flow := range n.flows {
		flows[flow] = 0
	}
	e.flows = flows
}

// advance finds the phase.
func (e *entry) advance(s *model.VirtualService, now time.Time) {
	over := e.over(s, now)
	left := e.tcp > 0 || len(e.flows) > 0
	switch {
	case e.out, over && (e.counted || e.State == model.Maintenance) && !left, over && !now.Before(e.deadline(s).Add(grace)):
		e.phase, e.out, e.flows = Drained, over, nil
	case over:
		e.phase = Resetting
	case e.empty >= emptyReadings:
		e.phase = Drained
	default:
		e.phase = Draining
	}
}

// show renews what is shown: a phase at once, numbers now and then.
func (e *entry) show(s *model.VirtualService, now time.Time) {
	next := Status{Phase: e.phase, Counted: e.counted, Connections: e.open, Since: e.Since, Deadline: e.deadline(s)}
	if e.phase == Drained {
		next.Connections = 0
	}
	same := next.Phase == e.shown.Phase && next.Counted == e.shown.Counted && next.Deadline.Equal(e.shown.Deadline)
	if same && now.Sub(e.shownAt) < showEvery && !now.Before(e.shownAt) {
		return
	}
	e.shown, e.shownAt = next, now
}
