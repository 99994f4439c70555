package process_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/truepacs/balancer/e2e/cluster/process"
)

// victimVariable turns this test binary into a program that starts a child and waits to be killed.
const victimVariable = "PROCESS_TEST_VICTIM"

func TestMain(m *testing.M) {
	if os.Getenv(victimVariable) != "" {
		victim()
	}
	goleak.VerifyTestMain(m)
}

func victim() {
	g, err := process.NewGroup(os.Getenv(victimVariable), "victim")
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	p, err := g.Start(process.Spec{Name: "sleeper", Path: "/bin/sleep", Args: []string{"300"}})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println(p.PID(), g.Dir())
	select {}
}

func TestNothingOutlivesAKilledProgram(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimVariable+"="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	var dir string
	if _, err := fmt.Sscan(line, &pid, &dir); err != nil {
		t.Fatalf("the victim printed %q: %v", line, err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Kill()
	_ = cmd.Wait()
	eventually(t, "the child ends", func() bool { return !runs(pid) })
	eventually(t, "the directory goes", func() bool { _, err := os.Stat(dir); return os.IsNotExist(err) })
}

func TestStopAsksThenKills(t *testing.T) {
	tests := map[string]struct {
		script string
		grace  time.Duration
		want   string
	}{
		"a process that listens ends by itself": {`trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.05; done`, time.Minute, "asked"},
		"a process that does not is killed":     {`trap '' TERM; echo up; while :; do sleep 0.05; done`, 200 * time.Millisecond, "up"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t)
			p, err := g.Start(process.Spec{Name: "sh", Path: "/bin/sh", Args: []string{"-c", tc.script}})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "the script is up", func() bool { return process.Tail(p.LogPath(), 1) == "up" })
			if err := p.Stop(context.Background(), tc.grace); err != nil {
				t.Fatal(err)
			}
			if got := process.Tail(p.LogPath(), 1); got != tc.want {
				t.Errorf("last line %q, want %q", got, tc.want)
			}
			if runs(p.PID()) {
				t.Error("the process still runs")
			}
		})
	}
}

func TestFailureQuotesTheLog(t *testing.T) {
	g := newGroup(t)
	p, err := g.Start(process.Spec{Name: "broken", Path: "/bin/sh", Args: []string{"-c", "echo no such disk; exit 3"}})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	got := p.Failure().Error()
	for _, want := range []string{"broken", "exit status 3", "no such disk"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not contain %q", got, want)
		}
	}
}

func TestCloseEndsEverything(t *testing.T) {
	g := newGroup(t)
	p, err := g.Start(process.Spec{Name: "sleeper", Path: "/bin/sleep", Args: []string{"300"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if runs(p.PID()) {
		t.Error("the child still runs")
	}
	if _, err := os.Stat(g.Dir()); !os.IsNotExist(err) {
		t.Errorf("the directory is still there: %v", err)
	}
	if _, err := g.Start(process.Spec{Name: "late", Path: "/bin/true"}); !errors.Is(err, process.ErrClosed) {
		t.Errorf("start after close: %v, want %v", err, process.ErrClosed)
	}
}

func newGroup(t *testing.T) *process.Group {
	t.Helper()
	g, err := process.NewGroup(t.TempDir(), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// runs reports whether pid is a process that has not ended; an unreaped one has.
func runs(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not seen within 20 s: %s", what)
}
