package external

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/health"
)

// Config is what a Runner needs.
type Config struct {
	// Dir is the directory of the programs; empty: external checks are off.
	Dir string
	// Concurrent is how many programs run at a time; others wait. Absent: 8.
	Concurrent int
	// KeepUser lets a program run as root, without capabilities, where this process may not change
	// to nobody. Absent: the program is not run then.
	KeepUser bool
}

// Runner runs check programs. It is safe for concurrent use.
type Runner struct {
	cfg  Config
	turn chan struct{}
	// reaps says that this process inherits the orphans of programs: it is process 1, as in a pod.
	reaps bool
}

// Bounds.
const (
	defaultConcurrent = 8
	maxOutput         = 256
	nobody            = 65534
	// drainTime is how long output is read on after the group was killed.
	drainTime = 100 * time.Millisecond
)

// New returns a Runner.
func New(cfg Config) *Runner {
	if cfg.Concurrent <= 0 {
		cfg.Concurrent = defaultConcurrent
	}
	return &Runner{cfg: cfg, turn: make(chan struct{}, cfg.Concurrent), reaps: unix.Getpid() == 1}
}

var _ health.RunProgram = (*Runner)(nil).Run

// Run implements health.RunProgram. It returns after the program and its process group are gone.
func (r *Runner) Run(ctx context.Context, call health.ProgramCall) health.ProgramResult {
	select {
	case <-ctx.Done():
		return health.ProgramResult{Err: ctx.Err()}
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	}
	file, err := openProgram(r.cfg.Dir, call.Name)
	if err != nil {
		return health.ProgramResult{Err: err}
	}
	defer file.Close()
	limited, cancel := context.WithTimeout(ctx, call.Timeout)
	defer cancel()
	result := make(chan health.ProgramResult, 1)
	go onThreadOfItsOwn(func() { result <- r.run(limited, file, call) })
	res := <-result
	if ctx.Err() != nil {
		return health.ProgramResult{Err: ctx.Err()}
	}
	return res
}

// onThreadOfItsOwn calls f on a thread that ends with it, because f gives up rights for good. It is
// never the process's first thread, whose user owns /proc/self.
func onThreadOfItsOwn(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return // still locked: the thread ends
	}
	done := make(chan struct{})
	go func() { defer close(done); onThreadOfItsOwn(f) }()
	<-done
	runtime.UnlockOSThread()
}

// run starts the program from a thread that has given up its rights, and waits for its end. The
// same thread kills: it is of the same user.
func (r *Runner) run(ctx context.Context, file *os.File, call health.ProgramCall) health.ProgramResult {
	if err := giveUpRights(r.cfg.KeepUser); err != nil {
		return health.ProgramResult{Err: err}
	}
	out := &head{}
	cmd := &exec.Cmd{
		Path: "/proc/self/fd/3", Args: []string{call.Name}, Env: environment(call), Dir: "/",
		Stdout: out, Stderr: out, ExtraFiles: []*os.File{file}, WaitDelay: drainTime,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	}
	if err := cmd.Start(); err != nil {
		return health.ProgramResult{Err: fmt.Errorf("start %s: %w; a script needs mode 0755 and an interpreter that exists", call.Name, err)}
	}
	ended := make(chan struct{})
	go func() { defer close(ended); awaitEnd(cmd.Process.Pid) }()
	timedOut := false
	select {
	case <-ended:
	case <-ctx.Done():
		timedOut = true
	}
	// The leader has not been reaped, so its number still means this group.
	_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	<-ended
	err := cmd.Wait()
	if r.reaps {
		reap(cmd.Process.Pid)
	}
	return judge(cmd, err, timedOut, out.String())
}

// reapTime is how long is waited for members of a killed group; one that the kernel holds in an
// uninterruptible call is left.
const reapTime = time.Second

// reap takes in the dead of a killed group, whose leader is gone: they have become children of
// process 1, which this process is, and would stay zombies.
func reap(group int) {
	for end := time.Now().Add(reapTime); time.Now().Before(end); {
		switch pid, err := unix.Wait4(-group, nil, unix.WNOHANG, nil); {
		case pid > 0 || errors.Is(err, unix.EINTR):
		case err != nil:
			return // ECHILD: none is left
		default:
			time.Sleep(time.Millisecond)
		}
	}
}

// awaitEnd waits until the process has ended, and leaves it to be reaped.
func awaitEnd(pid int) {
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

func judge(cmd *exec.Cmd, err error, timedOut bool, output string) health.ProgramResult {
	res := health.ProgramResult{TimedOut: timedOut, Output: output}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	var exit *exec.ExitError
	switch {
	case timedOut:
	case ok && status.Signaled():
		res.Err = fmt.Errorf("ended by signal %v", status.Signal())
	case err == nil || errors.As(err, &exit) || errors.Is(err, exec.ErrWaitDelay):
		res.Exit = cmd.ProcessState.ExitCode()
	default:
		res.Err = err
	}
	return res
}

func environment(call health.ProgramCall) []string {
	return []string{
		"TRUEPACS_SERVER_ADDRESS=" + call.Server.Addr().String(),
		"TRUEPACS_SERVER_PORT=" + strconv.Itoa(int(call.Server.Port())),
		"TRUEPACS_CHECK_TIMEOUT=" + strconv.FormatFloat(call.Timeout.Seconds(), 'f', -1, 64),
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
	}
}

// giveUpRights leaves the calling thread, and what it starts, no right beyond an ordinary user's.
// Raw system calls: the C library's and Go's change all threads of the process.
func giveUpRights(keepUser bool) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	if os.Geteuid() == 0 {
		if err := becomeNobody(); err != nil && !keepUser {
			return fmt.Errorf("become nobody (user %d): %w; give the agent the capabilities SETUID and SETGID, or run it as another user than root", nobody, err)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

func becomeNobody() error {
	calls := [][4]uintptr{
		{unix.SYS_SETGROUPS, 0, 0, 0},
		{unix.SYS_SETRESGID, nobody, nobody, nobody},
		{unix.SYS_SETRESUID, nobody, nobody, nobody},
	}
	for _, c := range calls {
		if _, _, errno := unix.RawSyscall(c[0], c[1], c[2], c[3]); errno != 0 {
			return errno
		}
	}
	return nil
}

// head keeps the beginning of what is written and drops the rest, so that a program that prints
// much neither blocks nor fills memory.
type head struct{ b []byte }

func (h *head) Write(p []byte) (int, error) {
	room := maxOutput - len(h.b)
	h.b = append(h.b, p[:min(room, len(p))]...)
	return len(p), nil
}

// String returns printable ASCII, other bytes as spaces.
func (h *head) String() string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return ' '
		}
		return c
	}, string(h.b))
}
