package coldstart

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"

	"github.com/truepacs/balancer/internal/translate"
	"github.com/truepacs/balancer/internal/turns"
	"github.com/truepacs/balancer/internal/wiring"
)

// TestAgentWithoutStateTouchesNothingAndYields: it acts, which shows at the keeper's socket, and
// gives its turn to a regular agent. What it does with a state is shown on a real kernel, in
// e2e/suites/outages.
func TestAgentWithoutStateTouchesNothingAndYields(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	a := &Agent{After: after, Host: wiring.Options{
		Log: logr.Discard(), Marks: translate.DefaultMarks(), SysctlDir: "/proc/sys/net",
		RunDir: filepath.Join(dir, "run"), StateDir: filepath.Join(dir, "state"),
	}}
	stop := run(t, a.Run)
	defer stop()
	eventually(t, "it acts", func() bool {
		_, err := os.Stat(wiring.SocketPath(a.Host.RunDir))
		return err == nil && a.active.Load()
	})
	unlock, err := turns.Agent(t.Context(), a.Host.RunDir, func() {})
	if err != nil {
		t.Fatal(err)
	}
	if ready, state := a.Heartbeat(); !ready || state != "standby" {
		t.Errorf("heartbeat %t %s", ready, state)
	}
	unlock()
	eventually(t, "it acts again", func() bool { return a.active.Load() })
	if left, err := os.ReadDir(a.Host.StateDir); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}
