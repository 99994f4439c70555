package outages

import (
	"context"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/site"
)

const (
	connections = 50
	transfer    = 200 << 20
	// rate is in bytes per second.
	rate = 2 << 20
	// interval between two exchanges of a connection; it spares the emulated processor.
	interval = time.Second
	seed     = 11
)

// TestOutages kills agent, operator and cold-start agent under running flows, takes the API server
// away, kills the agent again; restarts the machine while the API server is away; and brings it
// back under new flows.
func TestOutages(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 28*time.Minute)
	defer cancel()
	w := newWorld(t, ctx)
	faults := w.killUnderFlows(t, ctx)
	w.restartMachine(t, ctx)
	faults += w.handBack(t, ctx)
	if t.Failed() {
		return
	}
	t.Logf("%d faults under %d connections and %d MiB on each path (seed %d), none cut", faults, connections, transfer>>20, seed)
}

// fault is something that goes wrong, and how to see that it is over.
type fault struct {
	name string
	do   func(t *testing.T, ctx context.Context)
}

func (w *world) killUnderFlows(t *testing.T, ctx context.Context) int {
	t.Helper()
	direct, proxied := w.startFlows(t, ctx)
	faults := []fault{
		{"agent killed", w.killAgent},
		{"operator killed", func(t *testing.T, ctx context.Context) { w.kill(t, ctx, operator) }},
		{"cold-start agent killed", func(t *testing.T, ctx context.Context) { w.kill(t, ctx, coldStartAgent) }},
		{"API server stopped", func(t *testing.T, ctx context.Context) {
			must(t, w.Cluster.StopAPIServer(ctx))
			time.Sleep(5 * time.Second) // watches break and are tried again
		}},
		{"agent killed while the API server is away", w.killAgent},
	}
	for _, f := range faults {
		w.strike(t, ctx, f)
		if !direct.Running() || !proxied.Running() {
			t.Fatalf("%s: no transfer was running, the sample is empty", f.name)
		}
	}
	w.finish(t, ctx, direct, proxied)
	return len(faults)
}

// strike lets a fault happen and compares what the kernel has programmed.
func (w *world) strike(t *testing.T, ctx context.Context, f fault) {
	t.Helper()
	before, began := w.kernelState(t, ctx), time.Now()
	f.do(t, ctx)
	if after := w.kernelState(t, ctx); after != before {
		t.Errorf("%s: the kernel's state changed:\n%s\nbefore:\n%s", f.name, after, before)
	}
	t.Logf("%s: over after %s", f.name, time.Since(began).Round(time.Second))
}

// killAgent kills the agent that acts and waits until a regular one acts again.
func (w *world) killAgent(t *testing.T, ctx context.Context) {
	t.Helper()
	before := w.await(t, ctx, "an agent acts", agentLock, agent, 0)
	w.OnWorker(ctx, t, "kill -9 "+before.pid)
	w.await(t, ctx, "another agent acts", agentLock, agent, number(before.pid))
}

// restartMachine takes the director's power away and gives it back while the API server is away.
func (w *world) restartMachine(t *testing.T, ctx context.Context) {
	t.Helper()
	must(t, w.Worker().PowerOff())
	powered := time.Now()
	must(t, w.Worker().PowerOn(ctx))
	for _, path := range paths {
		must(t, within(ctx, path.name+" works again", func(ctx context.Context) error { return w.tryOnce(ctx, path.port) }))
		t.Logf("%s works %s after power-on, without an API server", path.name, time.Since(powered).Round(time.Second))
	}
	w.await(t, ctx, "the cold-start agent acts", agentLock, coldStartAgent, 0)
	if _, err := w.Cluster.Kubectl(ctx, "get", "nodes", "--request-timeout=5s"); err == nil {
		t.Error("the API server answers although it was stopped")
	}
	must(t, within(ctx, "both servers have weight", func(ctx context.Context) error { return w.bothServe(ctx) }))
}

// handBack brings the API server back under new flows; regular agent and proxy take over.
func (w *world) handBack(t *testing.T, ctx context.Context) int {
	t.Helper()
	direct, proxied := w.startFlows(t, ctx)
	w.strike(t, ctx, fault{"API server back", func(t *testing.T, ctx context.Context) {
		must(t, w.Cluster.StartAPIServer(ctx))
		began := time.Now()
		w.await(t, ctx, "the regular agent acts", agentLock, agent, 0)
		t.Logf("the regular agent acts %s after the API server was back", time.Since(began).Round(time.Second))
		must(t, within(ctx, "the regular proxy serves", w.regularProxyServes))
		t.Logf("the regular proxy serves %s after the API server was back", time.Since(began).Round(time.Second))
		w.AwaitReady(ctx, t, namespace, "flows")
	}})
	if !direct.Running() || !proxied.Running() {
		t.Fatal("no transfer was running, the sample is empty")
	}
	w.finish(t, ctx, direct, proxied)
	return 1
}

// patience is how long something may take that has no promised time.
const patience = 8 * time.Minute

func within(ctx context.Context, what string, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return site.Until(ctx, what, func() error { return probe(ctx) })
}
