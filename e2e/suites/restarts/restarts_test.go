package restarts

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/paths"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/strace"
	"github.com/truepacs/balancer/e2e/suite"
)

// plan is one round unless the environment says otherwise.
func plan() suite.Plan { return suite.Plan{Name: "RESTARTS", Unit: "ROUNDS", Seed: 7, Count: 1} }

func TestMain(m *testing.M) { plan().Run(m) }

const (
	stateFile = "/var/lib/truepacs/model.json"
	traceFile = "/tmp/trace"
)

// stateFault is what happened to the state file while the agent was down.
type stateFault struct {
	name string
	argv []string
}

func stateFaults() []stateFault {
	return []stateFault{
		{"state as it was", []string{"true"}},
		{"state missing", []string{"rm", "-f", stateFile}},
		{"state truncated", []string{"truncate", "-s", "100", stateFile}},
		{"state empty", []string{"truncate", "-s", "0", stateFile}},
		{"state of a newer version", []string{"sed", "-i", `s/"version":1/"version":9/`, stateFile}},
	}
}

// TestKilledAgentCutsNothing kills the agent under a running transfer and open connections on
// both paths, and starts it again with the state file as it was, missing, damaged, and newer.
// strace of all its threads is the witness that the start changes nothing in the kernel.
func TestKilledAgentCutsNothing(t *testing.T) {
	p, err := plan().Read()
	suite.Must(t, err)
	w := newWorld(t)
	p.Round(t, func(n uint64) {
		load := paths.Load{Connections: 50, Bytes: 200 << 20, Rate: 4 << 20, Seed: p.SeedOf(n)}
		traffic := w.Start(t, load)
		faults := suite.Shuffled(p, n, stateFaults())
		for _, fault := range faults {
			w.strike(t, fault)
			traffic.Whole(t, fault.name)
		}
		traffic.Finish(t.Context(), t)
		suite.Verdict(t, "%d faults, %d connections and %d MiB on each path, none cut", len(faults), load.Connections, load.Bytes>>20)
	})
}

// strike kills the agent, lets the fault happen and starts the agent again.
func (w *world) strike(t *testing.T, fault stateFault) {
	t.Helper()
	before := kernelState(t, w)
	w.killAgent(t)
	_, err := w.MustRun(t.Context(), w.Director, fault.argv...)
	suite.Must(t, err)
	w.startTraced(t)
	w.AwaitWorking(t)
	time.Sleep(2 * time.Second) // it goes on working: resync is part of the start
	r := w.trace(t)
	suite.Verdict(t, "%s: strace of the start: %s", fault.name, r)
	if err := r.Enough(); err != nil {
		t.Errorf("%s: %v", fault.name, err)
	}
	for _, change := range r.Changes {
		t.Errorf("%s: the start changed the kernel: %s", fault.name, change)
	}
	if after := kernelState(t, w); after != before {
		t.Errorf("%s: the kernel's state changed:\n%s\nbefore:\n%s", fault.name, after, before)
	}
}

func (w *world) killAgent(t *testing.T) {
	t.Helper()
	agent := w.Agent(w.Director)
	suite.Must(t, agent.Kill())
	<-agent.Done()
}

// startTraced starts the agent under strace.
func (w *world) startTraced(t *testing.T) {
	t.Helper()
	suite.Must(t, w.StartAgentWith(t.Context(), w.Director, append(strace.Arguments(), "-qq", "-o", traceFile)...))
}

func (w *world) trace(t *testing.T) strace.Record {
	t.Helper()
	trace, err := w.Director.Get(t.Context(), traceFile)
	suite.Must(t, err)
	return strace.All(trace)
}

// kernelState is what the kernel has programmed, without counters and what packets add to sets.
func kernelState(t *testing.T, w *world) string {
	t.Helper()
	var all strings.Builder
	for _, argv := range [][]string{
		{"ipvsadm", "-Sn"}, {"nft", "--stateless", "list", "table", "inet", "truepacs"},
		{"ip", "-4", "-o", "address", "show"}, {"ip", "-4", "route", "show", "table", "all"},
	} {
		out, err := w.MustRun(t.Context(), w.Director, argv...)
		suite.Must(t, err)
		all.WriteString(out)
	}
	return paths.Lasting(all.String())
}

// TestPowerFailure takes the director's power away. It starts from its disk without reading a
// manifest: the folder is gone, as an API server would be.
func TestPowerFailure(t *testing.T) {
	p, err := plan().Read()
	suite.Must(t, err)
	w := newWorld(t)
	p.Round(t, func(uint64) { w.powerFailure(t) })
}

func (w *world) powerFailure(t *testing.T) {
	t.Helper()
	suite.Must(t, w.Director.PowerOff())
	suite.Must(t, w.Director.PowerOn(t.Context()))
	suite.Must(t, w.Director.Put(t.Context(), site.ManifestDir+"/README", bytes.NewReader(nil), os.FileMode(0o644)))
	started := time.Now()
	suite.Must(t, w.StartAgent(t.Context(), w.Director))
	for _, path := range paths.Both() {
		w.awaitPath(t, path)
		suite.Verdict(t, "%s works %s after the start", path, time.Since(started).Round(time.Millisecond))
	}
}

// awaitPath waits until new connections work. How long that takes is printed; the bound is for busy machines, on which the
// director's emulated processor may be many times slower.
func (w *world) awaitPath(t *testing.T, path paths.Path) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	suite.Must(t, site.Until(ctx, path.String()+" works again", func() error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		return w.Try(ctx, path)
	}))
}
