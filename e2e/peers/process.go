package peers

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// Host calls a function on a thread in a host's network namespace and returns its error; sockets and
// programs that the function opens and starts belong there. A nil Host is the test's own.
// (*lab.Namespace).Enter is one.
type Host func(func() error) error

// Far is a host of package netnstest.
func Far(f *netnstest.Far) Host {
	return func(work func() error) (err error) {
		f.Do(func() { err = work() })
		return err
	}
}

func (h Host) enter(work func() error) error {
	if h == nil {
		return work()
	}
	return h(work)
}

// Process is a program with all the processes that came from it, in a session and a process namespace of
// their own.
type Process struct {
	// PID is the program's own process, as the test sees it.
	PID int

	host      Host
	namespace string // link in /proc, for example pid:[4026532281]
	first     *exec.Cmd
	hold      io.Closer
	program   *exec.Cmd
	ended     chan struct{}
	stop      func()
}

// Launch starts a program on a host. Cmd has not been started; its SysProcAttr is replaced. The namespace's first
// process reads from a pipe that only the test has open: when the test ends, however it does, that process
// ends, and with it the kernel ends all others of the namespace (pid_namespaces(7)).
func Launch(t testing.TB, in Host, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{host: in}
	p.stop = sync.OnceFunc(p.end)
	if err := p.begin(cmd); err != nil {
		p.stop()
		t.Fatalf("start %s: %v", cmd, err)
	}
	t.Cleanup(p.Stop)
	return p
}

// Restart has the program end by SIGTERM and starts it again with the same arguments, as a service manager does that
// leaves alone what the program has started (KillMode=process of systemd.kill(5)).
func (p *Process) Restart() error {
	if err := syscall.Kill(p.PID, syscall.SIGTERM); err != nil {
		return err
	}
	if err := p.Wait(); err != nil {
		return fmt.Errorf("it was told to end: %w", err)
	}
	again := exec.Command(p.program.Path)
	again.Args, again.Env, again.Dir = p.program.Args, p.program.Env, p.program.Dir
	again.Stdout, again.Stderr = p.program.Stdout, p.program.Stderr
	return p.start(again)
}

// begin makes the namespace and starts the program in it.
func (p *Process) begin(cmd *exec.Cmd) (err error) {
	p.first = exec.Command("cat")
	p.first.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWPID}
	if p.hold, err = p.first.StdinPipe(); err != nil {
		return err
	}
	if err := p.first.Start(); err != nil {
		return fmt.Errorf("make a process namespace: %w: run this test as root", err)
	}
	if p.namespace, err = namespaceOf(p.first.Process.Pid); err != nil {
		return err
	}
	enter, err := exec.LookPath("nsenter")
	if err != nil {
		return fmt.Errorf("%w; install package util-linux", err)
	}
	path, err := exec.LookPath(cmd.Path)
	if err != nil {
		return err
	}
	cmd.Args = append([]string{enter, "--target", strconv.Itoa(p.first.Process.Pid), "--pid", "--", path}, cmd.Args[1:]...)
	cmd.Path, cmd.Err = enter, nil
	return p.start(cmd)
}

// start starts a command that enters the namespace.
func (p *Process) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := p.host.enter(cmd.Start); err != nil {
		return err
	}
	ended := make(chan struct{})
	p.program, p.ended = cmd, ended
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	return p.find()
}

// find waits until the program has its process.
func (p *Process) find() error {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		pid := p.program.Process.Pid
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if fields := strings.Fields(string(children)); len(fields) == 1 {
			p.PID, _ = strconv.Atoi(fields[0])
			return nil
		}
		if p.Ended() {
			return p.Err()
		}
	}
	return errors.New("it has no process after a minute")
}

func namespaceOf(pid int) (string, error) { return os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid)) }

// Ended tells whether the program has ended. What it has started may go on.
func (p *Process) Ended() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// Wait waits until the program has ended and returns how.
func (p *Process) Wait() error {
	<-p.ended
	return p.Err()
}

// Err is how the program ended; nil: with status 0.
func (p *Process) Err() error {
	if state := p.program.ProcessState; state != nil && !state.Success() {
		return errors.New(state.String())
	}
	return nil
}

// Stop ends the program and all that it has started, at once.
func (p *Process) Stop() { p.stop() }

func (p *Process) end() {
	if p.hold != nil {
		_ = p.hold.Close()
	}
	if p.first != nil && p.first.Process != nil {
		_ = p.first.Wait()
	}
	if p.program != nil {
		<-p.ended
	}
}
