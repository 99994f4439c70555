package eventloop

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/nonblock"
)

// gate lets a loop park in the Go runtime's poller without the runtime hearing of every event.
//
// If the loop's own epoll instance were registered with the runtime, each event would wake a thread that waits
// there, also while the loop is busy and takes the event by itself. So a second instance stands between: it
// holds the first with EPOLLONESHOT, is armed just before parking and spent on waking. To a gate that is not armed the kernel
// passes nothing on.
//
// No event is lost: arming looks whether the inner instance is ready (EPOLL_CTL_MOD), after the runtime has
// forgotten earlier news and before it parks the goroutine.
type gate struct {
	inner  int
	outer  int
	file   *os.File
	raw    syscall.RawConn
	step   func(uintptr) bool
	asked  bool
	until  time.Duration // the deadline the runtime has; 0: none
	events [1]unix.EpollEvent
}

// closed is the gate's registration while it lets nothing through, opened while it waits for one event.
const (
	closed = 0
	opened = unix.EPOLLIN | unix.EPOLLONESHOT
)

func (g *gate) open(inner int) error {
	outer, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("eventloop: make an epoll instance: %w", err)
	}
	g.inner, g.outer, g.step = inner, outer, g.ask
	if err = nonblock.Add(outer, inner, closed, 0); err == nil {
		err = unix.SetNonblock(outer, true)
	}
	if err != nil {
		_ = unix.Close(outer)
		return fmt.Errorf("eventloop: nest an epoll instance: %w", err)
	}
	g.file = os.NewFile(uintptr(outer), "epoll")
	if g.raw, err = g.file.SyscallConn(); err == nil {
		err = g.file.SetReadDeadline(time.Time{}) // refused if the runtime does not poll the file
	}
	if err != nil {
		_ = g.file.Close()
		return fmt.Errorf("eventloop: register an epoll instance with the Go runtime: %w", err)
	}
	return nil
}

func (g *gate) close() { _ = g.file.Close() }

// ask is called by the runtime once before it parks the goroutine, and again after it was woken.
func (g *gate) ask(uintptr) bool {
	if g.asked {
		return true
	}
	g.asked = true
	return nonblock.Modify(g.outer, g.inner, opened, 0) != nil
}

// wait returns when the inner instance has events, when until has come, and sometimes for nothing. Times are
// since start; limited false: until does not count.
func (g *gate) wait(start time.Time, now, until time.Duration, limited bool) {
	g.setDeadline(start, now, until, limited)
	g.asked = false
	if err := g.raw.Read(g.step); err != nil {
		g.until = -1 // has passed: Read would return at once until it is set again
	}
	if n, _ := nonblock.Events(g.outer, g.events[:]); n == 0 && g.asked {
		_ = nonblock.Modify(g.outer, g.inner, closed, 0)
	}
}

// setDeadline tells the runtime when to wake, if it would not wake by then anyway: timers are set and stopped far
// more often than they fire, so a deadline that has become too early is left, for one needless turn.
func (g *gate) setDeadline(start time.Time, now, until time.Duration, limited bool) {
	if g.until > now && (!limited || g.until <= until) {
		return
	}
	if !limited {
		if g.until != 0 {
			_ = g.file.SetReadDeadline(time.Time{})
		}
		g.until = 0
		return
	}
	_ = g.file.SetReadDeadline(start.Add(until))
	g.until = until
}
