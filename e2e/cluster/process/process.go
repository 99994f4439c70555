package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// ErrClosed is returned by Start on a Group that was closed.
var ErrClosed = errors.New("the process group is closed")

// Spec says what to run.
type Spec struct {
	Name  string   // names the log file and appears in errors
	Path  string   // the program
	Args  []string // its arguments, without the program's own name
	Env   []string // added to this program's environment
	Netns string   // path of the network namespace to run in; empty: this program's
}

// Process is one running, or finished, program.
type Process struct {
	spec Spec
	log  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start runs spec with standard output and error appended to <Dir>/<Name>.log. The process dies with this
// program, and with Close.
func (g *Group) Start(spec Spec) (*Process, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, fmt.Errorf("start %s: %w", spec.Name, ErrClosed)
	}
	p := &Process{spec: spec, log: g.Path(spec.Name + ".log"), done: make(chan struct{})}
	started := make(chan error, 1)
	go p.live(started, func() { g.forget(p) })
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	g.procs[p] = struct{}{}
	return p, nil
}

func (g *Group) forget(p *Process) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.procs, p)
}

// live owns one operating-system thread for the whole life of the child. The thread is never unlocked, so it
// ends with the goroutine: it may sit in another network namespace.
func (p *Process) live(started chan<- error, ended func()) {
	runtime.LockOSThread()
	if err := p.start(); err != nil {
		started <- err
		return
	}
	started <- nil
	p.err = p.cmd.Wait()
	close(p.done)
	ended()
}

func (p *Process) start() error {
	if err := EnterNetns(p.spec.Netns); err != nil {
		return err
	}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	p.cmd = exec.Command(p.spec.Path, p.spec.Args...)
	p.cmd.Env = append(os.Environ(), p.spec.Env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return p.cmd.Start()
}

// Done is closed when the process has ended and was waited for.
func (p *Process) Done() <-chan struct{} { return p.done }

// PID is the process id; it is meaningful until Done is closed.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// LogPath is the file that holds what the process printed.
func (p *Process) LogPath() string { return p.log }

// Kill ends the process without asking it. It does not wait.
func (p *Process) Kill() { _ = p.cmd.Process.Kill() }

// Stop asks the process to end, kills it when it has not ended after grace, and waits for its end. It
// returns ctx's error when that comes first.
func (p *Process) Stop(ctx context.Context, grace time.Duration) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		p.Kill()
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("stop %s: %w", p.spec.Name, ctx.Err())
	}
	<-p.done
	return nil
}

// Failure describes an unexpected end: exit status and the last lines of the log. Call it after Done.
func (p *Process) Failure() error {
	return fmt.Errorf("%s ended (%w); its last lines:\n%s", p.spec.Name, p.err, Tail(p.log, 15))
}

// Tail returns the last n lines of a text file, or why they cannot be read.
func Tail(path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
