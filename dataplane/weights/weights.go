package weights

import (
	"time"

	"github.com/truepacs/balancer/dataplane/model"
)

// Signal is what is known about one target.
type Signal struct {
	// Healthy says that it may get new connections.
	Healthy bool
	// Weighted says that Percent holds: an agent on the server asks for this share of the
	// configured weight, 0 to 256 per cent (HAProxy's agent check); 0 is as Drain.
	Weighted bool
	Percent  int
	// Drain says that an agent asks for no new connections (drain or maint). The server is well;
	// when all primaries ask for it, fallback servers take over.
	Drain bool
}

// Memory is what Decide must remember between calls; the zero value is a fresh start. It is a
// value: Decide returns a new one and leaves the old one as it was.
type Memory struct {
	servers map[serverKey]serverMemory
	// onFallback are the services, by key, whose fallback servers serve.
	onFallback map[string]bool
}

// serverKey is one server in one service.
type serverKey struct{ service, server string }

type serverMemory struct {
	up bool
	// since is when it came up; zero: it was up from the beginning, and ramps nothing.
	since time.Time
}

// MaxWeight is the greatest weight that is written to the kernel (net/netfilter/ipvs allows an
// int; schedulers multiply).
const MaxWeight = 65535

// Result is a decision.
type Result struct {
	// Services are the given ones with the weights that the kernel shall have.
	Services []model.VirtualService
	// Memory is to be given to the next call.
	Memory Memory
	// Next is when the weights change if nothing else does; zero: never.
	Next time.Time
}

// Decide returns the weights for now. A server without target counts as healthy; a target without
// signal as down. Servers seen for the first time that are healthy get their full weight at once: a
// restart of the agent, which adopts the kernel's verdicts, starts no ramp.
func Decide(services []model.VirtualService, signals map[string]Signal, before Memory, now time.Time) Result {
	d := decision{signals: signals, before: before, now: now, after: Memory{
		servers: map[serverKey]serverMemory{}, onFallback: map[string]bool{},
	}}
	out := make([]model.VirtualService, len(services))
	for i, s := range services {
		s.Servers = append([]model.RealServer(nil), s.Servers...)
		d.service(&s)
		out[i] = s
	}
	return Result{Services: out, Memory: d.after, Next: d.next}
}

// decision is one call of Decide.
type decision struct {
	signals       map[string]Signal
	before, after Memory
	now, next     time.Time
}

// wake asks to be called at t.
func (d *decision) wake(t time.Time) {
	if t.After(d.now) && (d.next.IsZero() || t.Before(d.next)) {
		d.next = t
	}
}

// identity tells the two families of one service apart: they have one Key.
func identity(s *model.VirtualService) string {
	if s.IPv6() {
		return s.Key + " IPv6"
	}
	return s.Key
}

// service sets the weights of one service.
func (d *decision) service(s *model.VirtualService) {
	key := identity(s)
	states := make([]state, len(s.Servers))
	for i := range s.Servers {
		states[i] = d.observe(key, &s.Servers[i])
	}
	tier := d.tier(key, s, states)
	for i := range s.Servers {
		server, st := &s.Servers[i], states[i]
		switch {
		case tier == allOfThem && st.allowed:
			server.Weight = bounded(server.Weight)
		case tier != tierOf(server) || !st.serves():
			server.Weight = 0
		default:
			server.Weight = d.ramped(server, st, percentOf(bounded(server.Weight), st.signal))
		}
	}
	if s.Scheduler == model.WeightedFailover {
		d.holdBack(s, states)
	}
}

// holdBack keeps servers that have just come back waiting while one serves that has not: the one
// that stands in keeps its clients.
func (d *decision) holdBack(s *model.VirtualService, states []state) {
	waits := make([]bool, len(states))
	settled := false
	for i, st := range states {
		if s.Servers[i].Weight > 0 {
			waits[i] = !st.since.IsZero() && !d.heldDown(st.since, s.HoldDown)
			settled = settled || !waits[i]
		}
	}
	for i := range s.Servers {
		if settled && waits[i] {
			s.Servers[i].Weight = 0
		}
	}
}

// state is what holds about one server now.
type state struct {
	signal Signal
	// allowed: the administrator has not taken it out.
	allowed bool
	// up: its checks pass.
	up    bool
	since time.Time
}

// serves tells whether it may get new connections in its tier.
func (s state) serves() bool {
	none := s.signal.Weighted && s.signal.Percent <= 0
	return s.allowed && s.up && !s.signal.Drain && !none
}

// observe remembers since when a server is up.
func (d *decision) observe(service string, s *model.RealServer) state {
	signal := Signal{Healthy: true}
	if s.Target != "" {
		signal = d.signals[s.Target]
	}
	st := state{signal: signal, allowed: s.State == model.Active, up: signal.Healthy}
	key := serverKey{service, s.Name + " " + s.Address.String()}
	old, seen := d.before.servers[key]
	m := serverMemory{up: st.allowed && st.up}
	switch {
	case m.up && old.up:
		m.since = old.since
	case m.up && seen:
		m.since = d.now
	}
	d.after.servers[key] = m
	st.since = m.since
	return st
}

// percentOf applies what an agent asks for. A share above zero never becomes zero by rounding.
func percentOf(weight int, s Signal) int {
	if !s.Weighted {
		return weight
	}
	w := weight * min(max(s.Percent, 0), maxPercent) / 100
	if w == 0 && weight > 0 && s.Percent > 0 {
		return 1
	}
	return bounded(w)
}

const maxPercent = 256

func bounded(w int) int { return min(max(w, 0), MaxWeight) }
