package ipvs

import (
	"context"
	"fmt"

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

// Timeouts returns the idle timeouts of connections of the whole host.
func (d *Driver) Timeouts(ctx context.Context) (genl.Timeouts, error) {
	have, err := d.config.Kernel.Timeouts(ctx)
	if err != nil {
		_, err = explain(err)
		return have, fmt.Errorf("ipvs: read timeouts: %w", err)
	}
	return have, nil
}
