package paths

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/flow"
	"github.com/truepacs/balancer/e2e/suite"
)

// Listener is a host on which a flow server can listen.
type Listener interface {
	Listen(ctx context.Context, network, address string) (net.Listener, error)
}

// Servers are the flow servers behind the balancer.
type Servers []*flow.Server

// Serve adds a flow server on a host. It ends with the test.
func (s *Servers) Serve(ctx context.Context, t *testing.T, host Listener) {
	t.Helper()
	l, err := host.Listen(ctx, "tcp4", fmt.Sprintf("0.0.0.0:%d", flow.Port))
	suite.Must(t, err)
	server := flow.Serve(l)
	t.Cleanup(func() { _ = server.Close() })
	*s = append(*s, server)
}

func (s Servers) totals() []int {
	var all []int
	for _, server := range s {
		all = append(all, server.Total())
	}
	return all
}

// Load is the traffic on each path: flow.Options but for the name.
type Load struct {
	Connections int
	Interval    time.Duration
	Bytes, Rate int64
	Seed        uint64
}

// Traffic is connections and a transfer on each path.
type Traffic struct {
	flows   []*flow.Flows
	load    Load
	servers Servers
	before  []int // totals of the servers
}

// Start opens connections and begins a transfer on each path, from a client of its own.
func (s Servers) Start(ctx context.Context, t *testing.T, load Load, clients ...Client) *Traffic {
	t.Helper()
	traffic := &Traffic{load: load, servers: s, before: s.totals()}
	for i, path := range Both() {
		f, err := flow.Start(ctx, path.Dial(clients[i]), flow.Options{
			Name: path.String(), Connections: load.Connections, Interval: load.Interval,
			Bytes: load.Bytes, Rate: load.Rate, Seed: load.Seed,
		})
		suite.Must(t, err)
		t.Cleanup(func() { _ = f.Stop() })
		traffic.flows = append(traffic.flows, f)
	}
	return traffic
}

// Whole ends the test if a connection was cut or a transfer is not under way.
func (f *Traffic) Whole(t *testing.T, when string) {
	t.Helper()
	for _, one := range f.flows {
		if err := errors.Join(one.Cut()...); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if !one.Running() {
			t.Fatalf("%s: no transfer is under way, the sample is empty", when)
		}
	}
}

// finishTimeout is for transfers that go on at full speed.
const finishTimeout = 5 * time.Minute

// Finish lets the transfers end and tells what was cut: every byte must have arrived, and each
// server must have had its share of the connections.
func (f *Traffic) Finish(ctx context.Context, t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, finishTimeout)
	defer cancel()
	for i, one := range f.flows {
		if err := one.Finish(ctx); err != nil {
			t.Error(err)
		}
		if one.Beats() == 0 || one.Sent() != f.load.Bytes {
			t.Errorf("%d exchanges and %d bytes through %s, the sample is empty", one.Beats(), one.Sent(), Both()[i])
		}
		suite.Verdict(t, "%s: %d connections with %d exchanges, %d MiB", Both()[i], f.load.Connections, one.Beats(), one.Sent()>>20)
	}
	for i, total := range f.servers.totals() {
		if n := total - f.before[i]; n < f.load.Connections/2 {
			t.Errorf("server %d got %d connections only", i, n)
		}
	}
}
