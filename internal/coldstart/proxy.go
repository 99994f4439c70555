package coldstart

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/truepacs/balancer/dataplane/proxy"
	"github.com/truepacs/balancer/internal/turns"
)

// Proxy serves layer 7 on a host while no regular proxy lives.
type Proxy struct {
	// Config configures each turn's proxy; ExitWhenReplaced is set anyway.
	Config proxy.Config
	// RunDir is where the lock of the regular proxies is.
	RunDir string
	// After is how long no regular proxy must have lived: longer than the restart of a container.
	After time.Duration

	active atomic.Pointer[proxy.Proxy]
}

// Run stands by, connected to nobody, and serves in turns until ctx ends; it returns when the
// connections of all turns are gone. A turn ends when a regular proxy has taken over: it accepts
// nothing more and lets its connections end, and meanwhile the next turn may come.
func (p *Proxy) Run(ctx context.Context) error {
	var (
		turnsOver sync.WaitGroup
		mu        sync.Mutex
		failures  []error
	)
	defer turnsOver.Wait()
	for {
		p.Config.Log.Info("standing by for a regular proxy", "acts after", p.After)
		if err := turns.AwaitNoProxy(ctx, p.RunDir, p.After); err != nil {
			if ctx.Err() == nil {
				return err
			}
			turnsOver.Wait()
			return errors.Join(failures...)
		}
		p.Config.Log.Info("no regular proxy lives, this one serves")
		turn := p.begin()
		turnsOver.Go(func() {
			if err := turn.Run(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failures = append(failures, err)
			}
		})
		select {
		case <-turn.Replaced():
		case <-ctx.Done():
		}
		p.active.Store(nil)
	}
}

// begin makes the proxy of one turn. It counts as started now: older than any regular proxy that
// comes later, which so takes over.
func (p *Proxy) begin() *proxy.Proxy {
	cfg := p.Config
	cfg.ExitWhenReplaced = true
	turn := proxy.New(cfg)
	p.active.Store(turn)
	return turn
}

// Heartbeat is what the probe sees: standing by counts as ready.
func (p *Proxy) Heartbeat() (ready bool, state string) {
	if turn := p.active.Load(); turn != nil {
		return turn.Ready()
	}
	return true, "standby"
}
