package prove_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// event is a line of the journal that the probe's act writes.
type event struct {
	at        int64 // Unix time in milliseconds
	who, what string
}

// TestProveSurge: on the host network the new agent starts beside the old one, becomes Ready as a standby, and
// acts once the old one has let go; exactly one acts at any time.
func TestProveSurge(t *testing.T) {
	b := newBench(t, "surge")
	t.Cleanup(func() { b.onNode("rm -rf /run/truepacs-surge") })
	agent := daemon{
		name: "agent", context: agentContext, mounts: []string{"/share=/run/truepacs-surge=DirectoryOrCreate"},
		pod:       "      terminationGracePeriodSeconds: 10",
		container: "        readinessProbe: {exec: {command: [/probe, ready]}, periodSeconds: 1, timeoutSeconds: 10}",
	}
	for generation, linger := range []string{"3s", "never", "0s"} {
		agent.args = []string{"act", "/share", fmt.Sprintf("v%d", generation+1), linger}
		b.apply(b.manifest(agent), "agent")
	}
	b.wait("v3 acts", func() bool { return strings.Contains(b.onNode("cat /run/truepacs-surge/journal"), "v3 acts") })
	events := parseJournal(b, b.onNode("cat /run/truepacs-surge/journal"))
	at := func(who, what string) int64 {
		for _, e := range events {
			if e.who == who && e.what == what {
				return e.at
			}
		}
		b.Fatalf("no event %s %s in %v", who, what, events)
		return 0
	}
	b.verdict("d1: v2 started %d ms before v1 got SIGTERM; v1 released %d ms after SIGTERM; v2 acted %d ms later",
		at("v1", "sigterm")-at("v2", "started"), at("v1", "releases")-at("v1", "sigterm"), at("v2", "acts")-at("v1", "releases"))
	b.verdict("d2: v2 ignores SIGTERM: v3 started %d ms before it, acted %d ms after it (terminationGracePeriodSeconds 10)",
		at("v2", "sigterm")-at("v3", "started"), at("v3", "acts")-at("v2", "sigterm"))
	if at("v2", "started") > at("v1", "sigterm") || at("v3", "started") > at("v2", "sigterm") {
		t.Error("the new pod did not start beside the old one")
	}
	if at("v2", "acts") < at("v1", "releases") || at("v3", "acts") < at("v2", "sigterm") {
		t.Error("two pods acted at the same time")
	}
	for _, line := range strings.Split(strings.TrimSpace(b.kubectl("get", "events", "--sort-by=.metadata.creationTimestamp", "-o",
		`jsonpath={range .items[*]}{.lastTimestamp} {.reason} {.involvedObject.name} {.message}{"\n"}{end}`)), "\n") {
		t.Log(line)
	}
}

func parseJournal(b *bench, text string) []event {
	b.Helper()
	b.Log("journal:\n" + text)
	var events []event
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			b.Fatalf("journal line %q", line)
		}
		at, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		events = append(events, event{at: at, who: fields[1], what: fields[2]})
	}
	return events
}
