package genl

import (
	"context"
	"fmt"
)

// SetTimeouts sets the idle timeouts of connections; a 0 leaves one as it is.
func (c *Client) SetTimeouts(ctx context.Context, t Timeouts) error {
	if err := t.check(); err != nil {
		return fmt.Errorf("ipvs: %s: %w", setConfig, err)
	}
	return c.order(ctx, setConfig, "", func(b []byte) []byte { return appendTimeouts(b, t) })
}

// ZeroAll sets the counters of all services and destinations and the totals to 0. Zero, a Change,
// does so for one service.
func (c *Client) ZeroAll(ctx context.Context) error {
	return c.order(ctx, Zero, "of all services", nothing)
}

// StartDaemon starts a synchronisation daemon; ErrExists if one of its role is running.
func (c *Client) StartDaemon(ctx context.Context, d Daemon) error {
	if err := d.check(); err != nil {
		return refused(newDaemon, d.Role.String(), err)
	}
	return c.order(ctx, newDaemon, d.Role.String()+" on "+d.Interface,
		func(b []byte) []byte { return appendDaemon(b, &d) })
}

// StopDaemon stops the synchronisation daemon of a role; ErrNoDaemon if none is running.
func (c *Client) StopDaemon(ctx context.Context, r Role) error {
	return c.order(ctx, delDaemon, r.String(), func(b []byte) []byte {
		start, b := nest(b, attrDaemon)
		return unnest(attribute32(b, daemonState, uint32(r)), start)
	})
}
