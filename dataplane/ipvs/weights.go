package ipvs

import (
	"context"
	"fmt"

	"github.com/truepacs/balancer/dataplane/model"
)

// Weights returns the weights that the kernel has, by firewall mark and server address; where an
// address has several ports, the highest. What it reads, the next Set need not read again. A server
// that is missed here counts as down until its checks decide, so a list that others interrupt is an
// error, and what it lacks in silence is looked for in the table. Errors are a *model.ItemError
// without a key: it is about all services.
func (d *Driver) Weights(ctx context.Context) (map[uint32]map[string]int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	quiet, err := d.observe(ctx)
	if err == nil {
		err = d.memory.doubt
	}
	if err == nil {
		var same bool
		same, err = d.readTable(ctx)
		quiet = quiet && same
	}
	d.settled = d.settled && quiet && err == nil
	if err != nil {
		d.memory.forget()
		reason, err := explain(err)
		return nil, &model.ItemError{Reason: reason, Err: fmt.Errorf("ipvs: read services: %w", err)}
	}
	weights := make(map[uint32]map[string]int, len(d.memory.known))
	for id, p := range d.memory.known {
		if weights[id.Mark] == nil { // IPv4 and IPv6 share a mark
			weights[id.Mark] = make(map[string]int, len(p.servers))
		}
		for _, server := range p.servers {
			address := server.Address.Addr().String()
			weights[id.Mark][address] = max(weights[id.Mark][address], server.Weight)
		}
	}
	return weights, nil
}
