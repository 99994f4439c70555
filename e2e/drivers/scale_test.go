package drivers_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/truepacs/balancer/e2e/strace"
)

// scaleAsked is a command that hands on how many services the environment asks for, by default
// 1,000: SCALE_SERVICES and, for which of them share a server, SCALE_SEED.
func scaleAsked() []string {
	command := []string{"env"}
	for _, setting := range os.Environ() {
		if strings.HasPrefix(setting, "SCALE_") {
			command = append(command, setting)
		}
	}
	return command
}

const traceFile = "/tmp/resync.strace"

// TestThousandsOfServices has many services of two servers each in one machine: the first
// programming, resyncs without change and a server that goes down, beside ipvsadm and beside
// programs that read every service by itself. It prints times; writes have to be few, and none in a
// resync without change, of which strace is the witness.
func TestThousandsOfServices(t *testing.T) {
	m := newMachine(t, map[string]string{
		"/test/inside": buildTest(t, "./e2e/drivers/inside"), "/test/insideipvs": buildTest(t, "./e2e/drivers/insideipvs"),
	}, "strace")
	t.Run("made beside ipvsadm", func(t *testing.T) { runTest(t, m, "insideipvs", "-test.run=^TestScale$") })
	t.Run("resync", func(t *testing.T) { runTest(t, m, "inside", "-test.run=^TestResync$") })
	t.Run("resync under strace", func(t *testing.T) {
		wrapped := append(strace.Arguments(), "-o", traceFile)
		runTestUnder(t, m, wrapped, "inside", "-test.run=^TestResyncTraced$")
		trace, err := m.Get(t.Context(), traceFile)
		if err != nil {
			t.Fatal(err)
		}
		checkTrace(t, trace)
	})
}

// checkTrace wants changes before the resyncs and none in them.
func checkTrace(t *testing.T, trace []byte) {
	t.Helper()
	before, rest, begun := bytes.Cut(trace, []byte(`"/resync-begins"`))
	during, _, ended := bytes.Cut(rest, []byte(`"/resync-ends"`))
	if !begun || !ended {
		t.Fatal("the trace does not show where resyncs begin and end")
	}
	first, resyncs := strace.All(before), strace.All(during)
	t.Logf("strace of the first programming: %s", first)
	t.Logf("strace of three resyncs: %s", resyncs)
	if err := resyncs.Enough(); err != nil {
		t.Error(err)
	}
	if len(first.Changes) == 0 || len(resyncs.Changes) != 0 {
		t.Errorf("%d calls that change something in the first programming, want some; %d in resyncs, want none:\n%s",
			len(first.Changes), len(resyncs.Changes), strings.Join(resyncs.Changes, "\n"))
	}
}
