package coldstart

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/truepacs/balancer/internal/turns"
	"github.com/truepacs/balancer/internal/wiring"
)

// Agent acts on a host while no regular agent does.
type Agent struct {
	// Host says where things are; OnChange is not used.
	Host wiring.Options
	// After is how long no regular agent must have acted: longer than the restart of a container.
	After time.Duration

	active atomic.Bool
}

// Run stands by and acts in turns until ctx ends. What is programmed stays, also between turns.
func (a *Agent) Run(ctx context.Context) error {
	// Regular proxies can hold their lock before the first turn.
	if err := wiring.Prepare(a.Host); err != nil {
		return err
	}
	a.Host.Log.Info("standing by for a regular agent", "acts after", a.After)
	return turns.ColdStartAgent(ctx, a.Host.RunDir, a.After, a.act)
}

// act does what the saved state says until ctx ends.
func (a *Agent) act(ctx context.Context) error {
	host, err := wiring.New(a.Host)
	if err != nil {
		return err
	}
	if _, err := host.Agent.Restore(); err != nil {
		a.Host.Log.Info("no regular agent acts, and there is nothing to start from: the host stays as it is", "cause", err.Error())
	} else {
		a.Host.Log.Info("no regular agent acts, this one goes on from the saved state")
	}
	a.active.Store(true)
	defer a.active.Store(false)
	err = host.Run(ctx)
	a.Host.Log.Info("this agent lets go, what is programmed stays")
	return err
}

// Heartbeat is what the probe sees.
func (a *Agent) Heartbeat() (ready bool, state string) {
	if a.active.Load() {
		return true, "active"
	}
	return true, "standby"
}
