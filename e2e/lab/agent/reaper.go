package agent

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// reaper is the only one in the process that waits for children. As first
// process of a PID namespace the agent also inherits orphans, and a second
// waiter would steal exit statuses from the first.
type reaper struct {
	mu      sync.Mutex
	waiting map[int]chan syscall.WaitStatus
	signals chan os.Signal
}

func newReaper() *reaper {
	r := &reaper{waiting: make(map[int]chan syscall.WaitStatus), signals: make(chan os.Signal, 1)}
	signal.Notify(r.signals, syscall.SIGCHLD)
	go r.loop()
	return r
}

// start runs argv and returns its PID and the channel that will carry its status.
func (r *reaper) start(path string, argv []string, attr *syscall.ProcAttr) (int, <-chan syscall.WaitStatus, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := syscall.ForkExec(path, argv, attr)
	if err != nil {
		return 0, nil, err
	}
	ch := make(chan syscall.WaitStatus, 1)
	r.waiting[pid] = ch
	return pid, ch, nil
}

// signal sends a signal to a child, or to its process group, while it has not
// been waited for, so that a PID is never hit after the kernel gave it to another
// process. What a command left running in the background is not touched.
func (r *reaper) signal(pid int, number syscall.Signal, group bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, alive := r.waiting[pid]; !alive {
		return syscall.ESRCH
	}
	if group {
		pid = -pid
	}
	return syscall.Kill(pid, number)
}

func (r *reaper) loop() {
	for range r.signals {
		for r.reapOne() {
		}
	}
}

func (r *reaper) reapOne() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
	if err == syscall.EINTR {
		return true
	}
	if err != nil || pid <= 0 {
		return false
	}
	if ch, ours := r.waiting[pid]; ours {
		delete(r.waiting, pid)
		ch <- status
	}
	return true
}
