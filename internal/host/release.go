package host

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Release gives everything back on a host where no `truepacs run` runs. kept is as of AskRelease.
func Release(ctx context.Context, o Options) (kept string, err error) {
	h, err := New(o)
	if err != nil {
		return "", err
	}
	ctx, h.done = context.WithCancel(ctx)
	defer h.done()
	unlock, err := h.wiring.Lock(ctx, func() { o.Log.Info("another truepacs acts on this host, waiting for it") })
	if err != nil {
		return "", err
	}
	defer unlock()
	h.restore()
	ended := make(chan error, 1)
	go func() { ended <- h.wiring.Run(ctx) }()
	err = h.release(ctx)
	h.done()
	return h.wiring.Kept(), errors.Join(err, <-ended)
}

// release gives everything back and ends Run.
func (h *Host) release(ctx context.Context) error {
	h.mu.Lock()
	h.released = true
	h.mu.Unlock()
	if err := h.node.Release(); err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !h.node.Empty() {
		select {
		case <-ctx.Done():
			observed := h.wiring.Agent.Observed()
			return fmt.Errorf("not everything could be given back: %w", errors.Join(observed.Failure, ctx.Err()))
		case <-tick.C:
		}
	}
	h.wiring.Keeper.Dismiss()
	h.log.Info("everything is given back")
	time.AfterFunc(100*time.Millisecond, h.done) // the answer goes out first
	return nil
}
