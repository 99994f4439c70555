package changes

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/cluster/binaries"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// more is how many connections of a kind each upgrade finds beside those that were there before: they belong to the proxy before it.
const more = 5

// TestUpgrades replaces the program by that of another commit and back, and restarts the service, while requests and lasting
// connections go on: docs/guides/plain-host.md.
func TestUpgrades(t *testing.T) {
	upgrades, err := suite.Number("CHANGES_UPGRADES", 2)
	suite.Must(t, err)
	shipped, err := site.Program()
	suite.Must(t, err)
	other, commit := buildOther(t)
	if versionOf(t, shipped) == versionOf(t, other) {
		t.Fatalf("both programs are of version %s: an upgrade would be none; run make build, or name another commit with CHANGES_COMMIT", versionOf(t, shipped))
	}
	w := newWorld(t)
	connections := w.newLasting(t)
	connections.open(t, lasting)
	load := w.startLoad(t)
	load.startStreams()
	time.Sleep(2 * time.Second)
	var longest time.Duration
	for n := range upgrades {
		program := other
		if n%2 == 1 {
			program = shipped
		}
		longest = max(longest, w.upgrade(t, program))
		connections.open(t, more)
		if n == 0 { // only the shipped program has been replaced
			w.listenAndLeave(t)
		}
		time.Sleep(3 * time.Second)
	}
	generations := len(w.proxies(t))
	if want := int(upgrades) + 1; generations != want {
		t.Errorf("%d generations of the proxy have connections, not %d", generations, want)
	}
	requests, kept := load.finish(t), connections.finish(t)
	if want := int(upgrades) * h2Clients; load.goAways < want {
		t.Errorf("%d connections of HTTP/2 were told to end, at least %d were to be", load.goAways, want)
	}
	w.await(t, "proxies without connections end", func() error {
		if left := w.proxies(t); len(left) != 1 {
			return fmt.Errorf("%d are left", len(left))
		}
		return nil
	})
	suite.Verdict(t, "%d upgrades between %s and %s (commit %s), the new proxy serves at most %s after the restart; %s; %s; %d connections of HTTP/2 ended and made again; %d generations at the end, one once connections were closed",
		upgrades, versionOf(t, shipped), versionOf(t, other), commit, longest.Round(time.Millisecond), requests, kept, load.goAways, generations)
}

// listenAndLeave has a service come and go, at the same port each time: proxies that were replaced must not hold it.
func (w *world) listenAndLeave(t *testing.T) {
	t.Helper()
	for range 2 {
		w.edit(t, edit{"listener", func(c *configuration, _ uint64) { c.Port = inTurn(c.Port, 8000) }, (*world).seesPort}, 0)
	}
}

// upgrade replaces the program, restarts the service and returns when a new connection belongs to a proxy that was not there before.
func (w *world) upgrade(t *testing.T, program string) time.Duration {
	t.Helper()
	old := map[int]bool{}
	for _, p := range w.proxies(t) {
		old[p.pid] = true
	}
	w.install(t, program)
	began := time.Now()
	suite.Must(t, w.Restart())
	w.await(t, "the new proxy serves", func() error {
		pid, err := w.owner(t)
		if err == nil && old[pid] {
			err = fmt.Errorf("process %d, which is not new, has the connection", pid)
		}
		return err
	})
	return time.Since(began)
}

var ownerOfSocket = regexp.MustCompile(`pid=(\d+)`)

// owner is the process that has the front's end of a new connection, as ss says.
func (w *world) owner(t *testing.T) (int, error) {
	t.Helper()
	c, err := w.openStream()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_, port, _ := strings.Cut(c.LocalAddr().String(), ":")
	out := w.host.Run(t, "ss", "-Htnp", "sport", "=", ":9000", "and", "dport", "=", ":"+port)
	pid := ownerOfSocket.FindStringSubmatch(out)
	if pid == nil {
		return 0, fmt.Errorf("nobody has the connection from port %s: ss says %q", port, out)
	}
	return strconv.Atoi(pid[1])
}

// buildOther builds the program of another commit: the one that CHANGES_COMMIT names, else the one before.
func buildOther(t *testing.T) (program, commit string) {
	t.Helper()
	commit = os.Getenv("CHANGES_COMMIT")
	if commit == "" {
		commit = "HEAD~1"
	}
	root, err := binaries.Root()
	suite.Must(t, err)
	short, err := output(root, "git", "rev-parse", "--short", "--verify", commit+"^{commit}")
	if err != nil {
		t.Fatalf("an upgrade needs the program of another commit, and %s is none in %s: run this in a clone with history, or name a commit with CHANGES_COMMIT: %v", commit, root, err)
	}
	commit = strings.TrimSpace(short)
	sources := newFolder(t)
	_, err = output(root, "sh", "-c", `git archive "$1" | tar -x -C "$2"`, "sh", commit, sources)
	suite.Must(t, err)
	program = filepath.Join(newFolder(t), "truepacs")
	_, err = output(sources, "env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-ldflags", "-s -w -X github.com/truepacs/balancer/internal/version.version="+commit, "-o", program, ".")
	suite.Must(t, err)
	return program, commit
}

// versionOf is what a program says of itself.
func versionOf(t *testing.T, program string) string {
	t.Helper()
	text, err := output(".", program, "--version")
	suite.Must(t, err)
	return strings.TrimSpace(text)
}

// output runs a program in a folder.
func output(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var failed bytes.Buffer
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		err = errors.Join(fmt.Errorf("%s: %w", cmd, err), errors.New(failed.String()))
	}
	return string(out), err
}
