package restarts

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/flow"
	"github.com/truepacs/balancer/e2e/site"
)

const (
	connections = 50
	transfer    = 200 << 20
	// rate is in bytes per second.
	rate = 4 << 20
	seed = 7

	stateFile = "/var/lib/truepacs/model.json"
	traceFile = "/tmp/trace"
)

// stateFaults is what may have happened to the state file while the agent was down.
var stateFaults = []struct {
	name string
	argv []string
}{
	{"state as it was", []string{"true"}},
	{"state missing", []string{"rm", "-f", stateFile}},
	{"state truncated", []string{"truncate", "-s", "100", stateFile}},
	{"state empty", []string{"truncate", "-s", "0", stateFile}},
	{"state of a newer version", []string{"sed", "-i", `s/"version":1/"version":9/`, stateFile}},
}

// TestKilledAgentCutsNothing kills the agent under a running transfer and open connections on
// both paths, and starts it again with the state file as it was, missing, damaged, and newer.
// strace of all its threads is the witness that the start changes nothing in the kernel.
func TestKilledAgentCutsNothing(t *testing.T) {
	w := newWorld(t)
	direct, proxied := w.startFlows(t, transfer, rate)
	for _, fault := range stateFaults {
		before := kernelState(t, w)
		w.killAgent(t)
		_, err := w.MustRun(t.Context(), w.Director, fault.argv...)
		must(t, err)
		w.startTraced(t)
		w.awaitWorking(t)
		time.Sleep(2 * time.Second) // it goes on working: resync is part of the start
		for _, change := range changes(t, w.trace(t)) {
			t.Errorf("%s: the start changed the kernel: %s", fault.name, change)
		}
		if after := kernelState(t, w); after != before {
			t.Errorf("%s: the kernel's state changed:\n%s\nbefore:\n%s", fault.name, after, before)
		}
		if !direct.Running() || !proxied.Running() {
			t.Fatalf("%s: no transfer was running, the sample is empty", fault.name)
		}
	}
	w.finish(t, direct, proxied)
	t.Logf("%d faults, %d connections and %d MiB on each path (seed %d), none cut", len(stateFaults), connections, transfer>>20, seed)
}

func (w *world) killAgent(t *testing.T) {
	t.Helper()
	agent := w.Agent(w.Director)
	must(t, agent.Kill())
	<-agent.Done()
}

// startTraced starts the agent under strace.
func (w *world) startTraced(t *testing.T) {
	t.Helper()
	must(t, w.StartAgentWith(t.Context(), w.Director,
		"strace", "-f", "-qq", "-o", traceFile, "-s", "96", "-e", "trace=sendto,sendmsg,sendmmsg,openat,write"))
}

func (w *world) trace(t *testing.T) []byte {
	t.Helper()
	trace, err := w.Director.Get(t.Context(), traceFile)
	must(t, err)
	return trace
}

// kernelState is what the kernel has programmed, without counters.
func kernelState(t *testing.T, w *world) string {
	t.Helper()
	var all strings.Builder
	for _, argv := range [][]string{
		{"ipvsadm", "-Sn"}, {"nft", "list", "table", "inet", "truepacs"},
		{"ip", "-4", "-o", "address", "show"}, {"ip", "-4", "route", "show", "table", "all"},
	} {
		out, err := w.MustRun(t.Context(), w.Director, argv...)
		must(t, err)
		all.WriteString(out)
	}
	return all.String()
}

func (w *world) finish(t *testing.T, flows ...*flow.Flows) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, f := range flows {
		if err := f.Finish(ctx); err != nil {
			t.Error(err)
		}
		if f.Beats() == 0 {
			t.Error("no exchange took place, the sample is empty")
		}
	}
	for i, s := range w.servers {
		if s.Total() < connections/2 {
			t.Errorf("server %d got %d connections only", i, s.Total())
		}
	}
}

// TestPowerFailure takes the director's power away. It starts from its disk without reading a
// manifest: the folder is gone, as an API server would be.
func TestPowerFailure(t *testing.T) {
	w := newWorld(t)
	must(t, w.Director.PowerOff())
	must(t, w.Director.PowerOn(t.Context()))
	must(t, w.Director.Put(t.Context(), site.ManifestDir+"/README", bytes.NewReader(nil), os.FileMode(0o644)))
	started := time.Now()
	must(t, w.StartAgent(t.Context(), w.Director))
	for name, port := range map[string]int{"direct routing": directPort, "the proxy": proxiedPort} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		must(t, site.Until(ctx, name+" works again", func() error { return w.tryOnce(ctx, port) }))
		cancel()
		t.Logf("%s works %s after the start", name, time.Since(started).Round(time.Millisecond))
	}
}

// tryOnce opens a connection and exchanges a few bytes.
func (w *world) tryOnce(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	dial := func(context.Context) (net.Conn, error) {
		return w.Modalities[2].Host.Dial(ctx, "tcp", fmt.Sprintf("%s:%d", site.VIP, port))
	}
	f, err := flow.Start(ctx, dial, flow.Options{Name: "a new connection", Connections: 1, Bytes: 1000, Rate: 1 << 20, Seed: seed})
	if err != nil {
		return err
	}
	return f.Finish(ctx)
}
