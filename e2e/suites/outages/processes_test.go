package outages

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/truepacs/balancer/e2e/paths"
	"github.com/truepacs/balancer/e2e/suite"
)

// Command lines of the product's processes on the worker, as regular expressions of pgrep. A
// regular agent or proxy is one without --cold-start.
const (
	operator       = "^/truepacs operator"
	agent          = "^/truepacs agent"
	regularProxy   = "^/truepacs proxy"
	coldStartAgent = "^/truepacs agent .*--cold-start"
	coldStartProxy = "^/truepacs proxy .*--cold-start"

	agentLock = "/run/truepacs/agent.lock"
)

type process struct{ pid, command string }

func number(pid string) int {
	n, _ := strconv.Atoi(pid)
	return n
}

func (p process) is(pattern string) bool {
	cold := strings.Contains(p.command, "--cold-start")
	return cold == strings.Contains(pattern, "--cold-start") &&
		strings.HasPrefix(p.command, strings.TrimPrefix(strings.TrimSuffix(pattern, " .*--cold-start"), "^"))
}

// find returns the newest process with a command line.
func (w *world) find(ctx context.Context, pattern string) (process, error) {
	out, err := w.Worker().Output(ctx, "pgrep -af '^/truepacs' || true")
	if err != nil {
		return process{}, err
	}
	var found process
	for line := range strings.Lines(out) {
		pid, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		if p := (process{pid, command}); p.is(pattern) && number(pid) > number(found.pid) {
			found = p
		}
	}
	if found.pid == "" {
		return found, fmt.Errorf("no process %s among:\n%s", pattern, out)
	}
	return found, nil
}

// awaitRestart waits until the kubelet has started another process than before.
func (w *world) awaitRestart(t *testing.T, ctx context.Context, pattern string, before process) {
	t.Helper()
	suite.Must(t, within(ctx, pattern+" runs again", func(ctx context.Context) error {
		now, err := w.find(ctx, pattern)
		if err == nil && now.pid == before.pid {
			err = fmt.Errorf("process %s still runs", before.pid)
		}
		return err
	}))
}

// holder asks the kernel which process holds an flock(2) on a file.
func (w *world) holder(ctx context.Context, file string) (process, error) {
	out, err := w.Worker().Output(ctx, `inode=$(stat -c %i `+file+`)
for pid in $(awk -v inode="$inode" '$2 == "FLOCK" { split($6, at, ":"); if (at[3] == inode) print $5 }' /proc/locks); do
  echo "$pid $(tr '\0' ' ' < /proc/$pid/cmdline)"
done`)
	if err != nil {
		return process{}, err
	}
	for line := range strings.Lines(out) {
		if pid, command, _ := strings.Cut(strings.TrimSpace(line), " "); strings.HasPrefix(command, "/truepacs ") {
			return process{pid, command}, nil
		}
	}
	return process{}, fmt.Errorf("nobody holds %s: %q", file, out)
}

// await waits until a process other than the one with the number not holds a lock.
func (w *world) await(t *testing.T, ctx context.Context, what, file, pattern string, not int) process {
	t.Helper()
	var now process
	suite.Must(t, within(ctx, what, func(ctx context.Context) (err error) {
		now, err = w.holder(ctx, file)
		if err == nil && (!now.is(pattern) || number(now.pid) == not) {
			err = fmt.Errorf("%s is held by %+v", file, now)
		}
		return err
	}))
	return now
}

// regularProxyServes opens a connection and asks the kernel whether a regular proxy accepted it.
func (w *world) regularProxyServes(ctx context.Context) error {
	c, err := paths.Proxied.Dial(w.clients[paths.Proxied])(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := paths.Ping(c); err != nil {
		return err
	}
	p, err := w.find(ctx, regularProxy)
	if err != nil {
		return err
	}
	sockets, err := w.Worker().Output(ctx, "ss -Htnp state established '( sport = :"+strconv.Itoa(int(paths.Proxied))+" )'")
	if err == nil && !accepted(sockets, c.LocalAddr().String(), p.pid) {
		err = fmt.Errorf("process %s has not accepted the connection from %s", p.pid, c.LocalAddr())
	}
	return err
}

func accepted(sockets, client, pid string) bool {
	for line := range strings.Lines(sockets) {
		if strings.Contains(line, client+" ") && strings.Contains(line, "pid="+pid+",") {
			return true
		}
	}
	return false
}
