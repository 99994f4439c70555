package ipvs

import (
	"context"
	"fmt"
	"time"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
)

// Available tells whether the kernel has IPVS and lets us use it; the error says what to do.
func (d *Driver) Available(ctx context.Context) error {
	if _, err := d.config.Kernel.Timeouts(ctx); err != nil {
		_, err = explain(err)
		return fmt.Errorf("ipvs: %w", err)
	}
	return nil
}

// SetTimeouts sets the idle timeouts of connections of the whole host, foreign services too; 0
// leaves one as it is. Times are rounded up to whole seconds. It writes only if one differs.
func (d *Driver) SetTimeouts(ctx context.Context, tcp, tcpFin, udp time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	have, err := d.config.Kernel.Timeouts(ctx)
	if err != nil {
		_, err = explain(err)
		return fmt.Errorf("ipvs: read timeouts: %w", err)
	}
	want := genl.Timeouts{TCP: changed(tcp, have.TCP), TCPFin: changed(tcpFin, have.TCPFin), UDP: changed(udp, have.UDP)}
	if want == (genl.Timeouts{}) {
		return nil
	}
	if err := d.config.Kernel.SetTimeouts(ctx, want); err != nil {
		_, err = explain(err)
		return fmt.Errorf("ipvs: set timeouts: %w", err)
	}
	return nil
}

// Timeouts returns the idle timeouts of connections of the whole host.
func (d *Driver) Timeouts(ctx context.Context) (genl.Timeouts, error) {
	have, err := d.config.Kernel.Timeouts(ctx)
	if err != nil {
		_, err = explain(err)
		return have, fmt.Errorf("ipvs: read timeouts: %w", err)
	}
	return have, nil
}

// changed returns want in whole seconds, 0 if that is what is there or nothing is wanted.
func changed(want, have time.Duration) time.Duration {
	want = (want + time.Second - 1).Truncate(time.Second)
	if want <= 0 || want == have {
		return 0
	}
	return want
}
