package outages

import (
	"context"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/paths"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// plan is one round unless the environment says otherwise.
func plan() suite.Plan { return suite.Plan{Name: "OUTAGES", Unit: "ROUNDS", Seed: 11, Count: 1} }

func TestMain(m *testing.M) { plan().Run(m) }

// roundTimeout bounds a round far beyond what it takes.
const roundTimeout = 28 * time.Minute

// TestOutages kills agent, operator and cold-start agent under running flows, takes the API server
// away, kills the agent again; restarts the machine while the API server is away; and brings it
// back under new flows. strace of the agents is the witness that none of them changes anything in
// the kernel when it starts or takes over.
func TestOutages(t *testing.T) {
	p, err := plan().Read()
	suite.Must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(p.Count)*roundTimeout)
	defer cancel()
	w := newWorld(t, ctx)
	p.Round(t, func(n uint64) {
		// The interval spares the emulated processor.
		load := paths.Load{Connections: 50, Interval: time.Second, Bytes: 200 << 20, Rate: 2 << 20, Seed: p.SeedOf(n)}
		faults := w.killUnderFlows(t, ctx, load, suite.Shuffled(p, n, w.kills()))
		w.restartMachine(t, ctx)
		faults += w.handBack(t, ctx, load)
		suite.Verdict(t, "%d faults under %d connections and %d MiB on each path, none cut", faults, load.Connections, load.Bytes>>20)
	})
}

// fault is something that goes wrong, and how to see that it is over.
type fault struct {
	name string
	do   func(t *testing.T, ctx context.Context)
}

// kills are the processes' own faults.
func (w *world) kills() []fault {
	return []fault{
		{"agent killed", w.killAgent},
		{"operator killed", w.killOperator},
		{"cold-start agent killed", w.killColdStartAgent},
	}
}

func (w *world) killUnderFlows(t *testing.T, ctx context.Context, load paths.Load, faults []fault) int {
	t.Helper()
	traffic := w.start(t, ctx, load)
	faults = append(faults, fault{"API server stopped", func(t *testing.T, ctx context.Context) {
		suite.Must(t, w.Cluster.StopAPIServer(ctx))
		time.Sleep(5 * time.Second) // watches break and are tried again
	}}, fault{"agent killed while the API server is away", w.killAgent})
	for _, f := range faults {
		w.strike(t, ctx, f)
		traffic.Whole(t, f.name)
	}
	traffic.Finish(ctx, t)
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
	suite.Verdict(t, "%s: over after %s", f.name, time.Since(began).Round(time.Second))
}

// killAgent kills the agent that acts and waits until a regular one acts again. The cold-start
// agent may act meanwhile.
func (w *world) killAgent(t *testing.T, ctx context.Context) {
	t.Helper()
	before := w.await(t, ctx, "an agent acts", agentLock, agent, 0)
	restarted, other := w.followRestart(t, ctx, "the agent from its start"), w.follow(t, ctx, "the cold-start agent meanwhile", coldStartAgent)
	w.OnWorker(ctx, t, "kill -9 "+before.pid)
	w.await(t, ctx, "another agent acts", agentLock, agent, number(before.pid))
	w.judge(t, ctx, restarted.acting(), other)
}

// killColdStartAgent kills the agent of the static pod and waits until it runs again; the regular
// one acts.
func (w *world) killColdStartAgent(t *testing.T, ctx context.Context) {
	t.Helper()
	restarted, other := w.followRestart(t, ctx, "the cold-start agent from its start"), w.follow(t, ctx, "the agent meanwhile", agent)
	w.kill(t, ctx, coldStartAgent)
	w.judge(t, ctx, restarted, other.acting())
}

func (w *world) killOperator(t *testing.T, ctx context.Context) {
	t.Helper()
	w.kill(t, ctx, operator)
}

// kill kills a process and waits until the kubelet has started another.
func (w *world) kill(t *testing.T, ctx context.Context, pattern string) {
	t.Helper()
	before, err := w.find(ctx, pattern)
	suite.Must(t, err)
	w.OnWorker(ctx, t, "kill -9 "+before.pid)
	w.awaitRestart(t, ctx, pattern, before)
}

// restartMachine takes the director's power away and gives it back while the API server is away.
func (w *world) restartMachine(t *testing.T, ctx context.Context) {
	t.Helper()
	suite.Must(t, w.Worker().PowerOff())
	powered := time.Now()
	suite.Must(t, w.Worker().PowerOn(ctx))
	for _, path := range paths.Both() {
		suite.Must(t, within(ctx, path.String()+" works again", func(ctx context.Context) error { return w.tryOnce(ctx, path) }))
		suite.Verdict(t, "%s works %s after power-on, without an API server", path, time.Since(powered).Round(time.Second))
	}
	w.await(t, ctx, "the cold-start agent acts", agentLock, coldStartAgent, 0)
	if _, err := w.Cluster.Kubectl(ctx, "get", "nodes", "--request-timeout=5s"); err == nil {
		t.Error("the API server answers although it was stopped")
	}
	suite.Must(t, within(ctx, "both servers have weight", func(ctx context.Context) error { return w.bothServe(ctx) }))
}

// handBack brings the API server back under new flows; regular agent and proxy take over.
func (w *world) handBack(t *testing.T, ctx context.Context, load paths.Load) int {
	t.Helper()
	traffic := w.start(t, ctx, load)
	w.strike(t, ctx, fault{"API server back", func(t *testing.T, ctx context.Context) {
		suite.Must(t, w.Cluster.StartAPIServer(ctx))
		began := time.Now()
		w.await(t, ctx, "the regular agent acts", agentLock, agent, 0)
		suite.Verdict(t, "the regular agent acts %s after the API server was back", time.Since(began).Round(time.Second))
		suite.Must(t, within(ctx, "the regular proxy serves", w.regularProxyServes))
		suite.Verdict(t, "the regular proxy serves %s after the API server was back", time.Since(began).Round(time.Second))
		w.AwaitReady(ctx, t, namespace, "flows")
	}})
	traffic.Whole(t, "API server back")
	traffic.Finish(ctx, t)
	return 1
}

const (
	// patience is how long something may take that has no promised time.
	patience = 8 * time.Minute
	// pause between two looks: each costs the emulated processor several processes.
	pause = time.Second
)

// within looks until a probe is content.
func within(ctx context.Context, what string, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return site.Until(ctx, what, func() error {
		err := probe(ctx)
		if err != nil {
			time.Sleep(pause)
		}
		return err
	})
}
