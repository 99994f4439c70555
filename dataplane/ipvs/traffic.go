package ipvs

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
)

// Traffic returns the counters of the servers of one of our services, by their address: one question
// to the kernel, however many services there are. A service that the kernel does not have has none.
func (d *Driver) Traffic(ctx context.Context, mark uint32, ipv6 bool) (map[netip.AddrPort]Counters, error) {
	id := genl.ByMark(mark, ipv6)
	found, err := d.config.Kernel.Destinations(ctx, id)
	if errors.Is(err, genl.ErrNoService) || errors.Is(err, genl.ErrNoModule) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ipvs: read servers of %s: %w", id, err)
	}
	out := make(map[netip.AddrPort]Counters, len(found))
	for i := range found {
		out[found[i].Address] = found[i].Stats
	}
	return out, nil
}
