// Package process runs the programs of a test cluster so that none of them, and no file of theirs,
// outlives the program that started them, not even when that program is killed with SIGKILL.
//
// Two mechanisms do it. Every child carries a parent-death signal and is started from a thread that lives as
// long as the child does (the kernel sends the signal when the starting thread ends, not the process). And
// every Group has a reaper, a shell that waits for the end of a pipe which only this program holds open, and
// then removes the group's directory.
//
// It may import the standard library and golang.org/x/sys/unix only.
package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
)

// reaperScript waits until standard input ends, then removes its first argument. Programs that are being
// killed at the same moment may still write there, hence the repetition.
const reaperScript = `trap '' INT TERM HUP
read -r _
n=0
while [ -e "$1" ] && [ $n -lt 50 ]; do
  rm -rf -- "$1" 2>/dev/null || sleep 0.2
  n=$((n+1))
done`

// Group is a directory and the processes that work in it. Its zero value is not usable; see NewGroup.
type Group struct {
	dir    string
	reaper *exec.Cmd
	alive  *os.File // write end of the reaper's pipe

	mu     sync.Mutex
	procs  map[*Process]struct{}
	closed bool
}

// NewGroup makes a directory below parent (the system's temporary directory when empty), named after prefix,
// and a reaper that removes it when this program ends in whatever way.
func NewGroup(parent, prefix string) (*Group, error) {
	dir, err := os.MkdirTemp(parent, prefix+"-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the processes of %s: %w", prefix, err)
	}
	g := &Group{dir: dir, procs: map[*Process]struct{}{}}
	if err := g.startReaper(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return g, nil
}

// Dir is the absolute path of the group's directory.
func (g *Group) Dir() string { return g.dir }

// Path joins the elements to the group's directory.
func (g *Group) Path(elem ...string) string {
	return filepath.Join(append([]string{g.dir}, elem...)...)
}

// Close kills the processes of the group, waits for them, and removes the directory. Later calls do nothing.
func (g *Group) Close() error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil
	}
	g.closed = true
	procs := make([]*Process, 0, len(g.procs))
	for p := range g.procs {
		procs = append(procs, p)
	}
	g.mu.Unlock()
	for _, p := range procs {
		p.Kill()
	}
	for _, p := range procs {
		<-p.Done()
	}
	err := os.RemoveAll(g.dir)
	return errors.Join(err, g.alive.Close(), g.reaper.Wait())
}

func (g *Group) startReaper() error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pipe to the reaper: %w", err)
	}
	cmd := exec.Command("/bin/sh", "-c", reaperScript, "reaper", g.dir)
	cmd.Stdin = r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	r.Close()
	if err != nil {
		return errors.Join(fmt.Errorf("start the reaper of %s: %w", g.dir, err), w.Close())
	}
	g.reaper, g.alive = cmd, w
	return nil
}
