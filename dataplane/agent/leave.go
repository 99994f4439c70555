package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/truepacs/balancer/dataplane/drain"
	"github.com/truepacs/balancer/dataplane/model"
)

// ConnectionTable is what a VirtualServer may offer beside: the kernel's table of connections.
// Without it nobody knows when a server is drained, and nothing is reset.
type ConnectionTable interface {
	// EachConnection calls visit with each connection, one value for all; it holds one at a time.
	// Its Service is the key of the one of services that answers there: they may not have been Set
	// yet, after a restart for one.
	EachConnection(ctx context.Context, services []model.VirtualService, visit func(*drain.Connection)) error
}

// leaver follows the servers that leave. It belongs to the loop.
type leaver struct {
	memory drain.Memory
	timer  *time.Timer // fires when it is to decide again; nil outside of Run
}

// due is a channel that is ready when the connections are to be counted again.
func (l *leaver) due() <-chan time.Time { return l.timer.C }

// start makes the timer, which runs when there is something to wait for.
func (l *leaver) start() (stop func()) {
	l.timer = time.NewTimer(time.Hour)
	l.timer.Stop()
	return func() { l.timer.Stop() }
}

// leave decides about the servers that leave, and sees to being called again. The error says what
// could not be read or remembered; the decision stands all the same.
func (a *Agent) leave(ctx context.Context, services []model.VirtualService) (drain.Result, error) {
	now := time.Now()
	a.takeStarts()
	tally, err := a.tally(ctx, services, now)
	r := drain.Decide(services, tally, a.leaver.memory, now)
	a.leaver.memory = r.Memory
	a.leaver.timer.Stop()
	if !r.Next.IsZero() {
		a.leaver.timer.Reset(max(r.Next.Sub(now), 0))
	}
	if err == nil {
		err = a.keepStarts(r.Memory.Starts())
	}
	return r, err
}

// tally counts connections if that is due.
func (a *Agent) tally(ctx context.Context, services []model.VirtualService, now time.Time) (*drain.Tally, error) {
	table, ok := a.cfg.Drivers.VirtualServer.(ConnectionTable)
	if !ok {
		return nil, nil
	}
	tally := a.leaver.memory.Tally(services, now)
	if tally == nil {
		return nil, nil
	}
	if err := table.EachConnection(ctx, services, tally.Add); err != nil {
		return nil, fmt.Errorf("count the connections of servers that are drained: %w", err)
	}
	return tally, nil
}

// recount decides again between two passes, without touching kernel or proxy; act: a pass is
// needed.
func (a *Agent) recount(ctx context.Context) (act bool) {
	a.mu.Lock()
	want := a.desired
	a.mu.Unlock()
	if want == nil {
		return false
	}
	r, err := a.leave(ctx, want.node.Services)
	if err != nil {
		a.cfg.Log.V(1).Info("servers that are drained", "cause", err.Error())
	}
	a.mu.Lock()
	changed := !maps.Equal(a.observed.Leaving, r.Statuses)
	a.observed.Leaving = r.Statuses
	a.mu.Unlock()
	if changed && !r.Act {
		a.cfg.OnChange()
	}
	return r.Act
}

// takeStarts begins with what an earlier process remembered.
func (a *Agent) takeStarts() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.restored != nil {
		a.leaver.memory = drain.Restore(a.restored)
		a.restored = nil
	}
}

// keepStarts saves since when servers leave.
func (a *Agent) keepStarts(starts drain.Starts) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.desired == nil || maps.Equal(a.starts, starts) {
		return nil
	}
	a.starts = starts
	return a.save(Saved{Node: a.desired.node, Source: a.source, Leaving: starts})
}

// remember notes what was restored.
func (a *Agent) remember(source json.RawMessage, starts drain.Starts) {
	a.source, a.starts, a.restored = source, starts, starts
}
