package checks

import (
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/truepacs/balancer/e2e/suite"
)

// echo is what was said in the first whole C-ECHO: association request, C-ECHO request, release request.
func (w *wire) echo() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said
}

// haproxy starts HAProxy with the checks of the program, its words included, and returns its process.
func (w *world) haproxy(t *testing.T) int {
	t.Helper()
	said := w.wire.echo()
	var c strings.Builder
	c.WriteString("global\n  nbthread 1\n  maxconn 100\ndefaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n  timeout check 1s\n")
	left := w.servers
	for pool := range pools {
		fmt.Fprintf(&c, "listen pool-%d\n  bind 10.9.0.1:%d\n  option tcp-check\n", pool, port(pool))
		if pool%2 == 0 { // answers begin so, PS3.8 section 9.3: A-ASSOCIATE-AC, P-DATA-TF, A-RELEASE-RP
			c.WriteString("  tcp-check connect\n")
			for i, answer := range []string{"0200000000", "0400000000", "06000000000400000000"} {
				fmt.Fprintf(&c, "  tcp-check send-binary %s\n  tcp-check expect binary %s\n", hex.EncodeToString(said[i]), answer)
			}
		}
		n := min(perPool, len(left))
		for i, server := range left[:n] {
			fmt.Fprintf(&c, "  server s%d %s:%d check inter 1s\n", i, server, port(pool))
		}
		left = left[n:]
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	suite.Must(t, os.WriteFile(file, []byte(c.String()), 0o600))
	cmd := exec.Command("haproxy", "-db", "-f", file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var printed strings.Builder
	cmd.Stdout, cmd.Stderr = &printed, &printed
	var err error
	w.director.Do(func() { err = cmd.Start() })
	if err != nil {
		t.Fatalf("%v; install package haproxy", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() || strings.Contains(printed.String(), " is DOWN") {
			t.Errorf("HAProxy printed:\n%s", printed.String()[:min(2000, printed.Len())])
		}
	})
	return cmd.Process.Pid
}
