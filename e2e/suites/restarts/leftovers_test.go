package restarts

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/paths"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// removedVIP is the address of the balancer whose manifest is removed.
const removedVIP = "192.0.2.101"

// removed is a balancer beside the one that stays, with a service on each path.
func removed() string {
	text := strings.ReplaceAll(paths.Balancer("lb1"), "{name: flows}", "{name: removed}")
	return strings.ReplaceAll(text, site.VIP, removedVIP)
}

// TestManifestRemovedWhileTheAgentWasDown: what a balancer left in the kernel goes with the next
// start of the agent, and the connections of the other balancer go on.
func TestManifestRemovedWhileTheAgentWasDown(t *testing.T) {
	p, err := plan().Read()
	suite.Must(t, err)
	w := newWorld(t)
	p.Round(t, func(n uint64) {
		alone := programmed(t, w)
		suite.Must(t, w.PutManifest(t.Context(), "removed.yaml", removed()))
		w.awaitProgrammed(t, "both balancers are there", func(now string) bool {
			return strings.Count(now, "-A -f") > strings.Count(alone, "-A -f") && strings.Contains(now, removedVIP+":7107") && strings.Contains(now, "inet "+removedVIP+"/")
		})
		traffic := w.Start(t, paths.Load{Connections: 20, Bytes: 60 << 20, Rate: 2 << 20, Seed: p.SeedOf(n)})
		both := programmed(t, w)
		w.killAgent(t)
		suite.Must(t, w.RemoveManifest(t.Context(), "removed.yaml"))
		if now := programmed(t, w); now != both {
			t.Errorf("the end of the agent changed the kernel:\n%s\nbefore:\n%s", now, both)
		}
		suite.Must(t, w.StartAgent(t.Context(), w.Director))
		began := time.Now()
		w.awaitProgrammed(t, "nothing is left of the balancer without manifest", func(now string) bool { return now == alone })
		t.Logf("%d lines that the balancer had are gone %s after the start", lines(both)-lines(alone), time.Since(began).Round(time.Millisecond))
		w.AwaitWorking(t)
		traffic.Whole(t, "manifest removed while the agent was down")
		traffic.Finish(t.Context(), t)
	})
}

func lines(text string) int { return strings.Count(text, "\n") }

// programmed is the kernel's state with the sockets that listen.
func programmed(t *testing.T, w *world) string {
	t.Helper()
	sockets, err := w.MustRun(t.Context(), w.Director, "sh", "-c", "ss -Hltn src 192.0.2.0/24 | awk '{print $4}' | sort")
	suite.Must(t, err)
	return kernelState(t, w) + sockets
}

// awaitProgrammed waits until the kernel's state is as it should be.
func (w *world) awaitProgrammed(t *testing.T, what string, ok func(now string) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	suite.Must(t, site.Until(ctx, what, func() error {
		if now := programmed(t, w); !ok(now) {
			return fmt.Errorf("the kernel has\n%s", now)
		}
		return nil
	}))
}
