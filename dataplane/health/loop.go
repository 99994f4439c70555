package health

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/nonblock"
)

// loop carries on conversations on plain sockets, all in one goroutine. A goroutine, a timer and a
// place in the runtime's poller for each would cost as much again as the system calls. The zero
// value is ready; its goroutine runs from the first conversation until close.
type loop struct {
	mu      sync.Mutex
	flights map[int32]*flight // by descriptor
	cruises cruises           // by what they wait for
	last    int32             // generation given last
	wakeAt  time.Time         // when the goroutine looks for what is due; zero: never
	epoll   int               // descriptor, of use while running
	running bool
	resting bool          // the goroutine sleeps until wakeAt, for nothing is in the air
	kick    chan struct{} // ends its sleep
	closed  bool
	wg      sync.WaitGroup

	// Of the goroutine only:
	events [256]unix.EpollEvent
	buffer [4096]byte
}

// together is how often the loop looks for events while flights are in the air, and among a crowd of targets. Being
// woken by each event costs more than what there is to do about it: with the runtime's poller, checks took twice the
// processor time. It is added to an answer's time up to four times.
const (
	together = 10 * time.Millisecond
	crowded  = 20 * time.Millisecond
	crowd    = 200
	// many conversations carried on at once take so long that the answers to the first of them are there: the loop
	// looks again before it sleeps, and sleeps and wakes up less often.
	many = 8
)

// fly sends f on its way; it ends by a value on f.done. An error is of this host.
func (l *loop) fly(f *flight) error {
	if err := l.register(f); err != nil || f.watched {
		return err
	}
	// Edge-triggered: one registration serves connecting, reading and writing (epoll(7)).
	const events = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&(1<<32-1)
	if err := nonblock.Watch(l.epoll, int(f.fd), events, f.generation); err != nil {
		l.forget(f)
		return fmt.Errorf("epoll: %w: %w", unix.ENOBUFS, err)
	}
	f.watched = true
	return nil
}

// register makes f known, and the loop run.
func (l *loop) register(f *flight) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ready(); err != nil {
		return err
	}
	if !f.watched {
		l.last++
		f.generation = l.last
	}
	l.flights[f.fd] = f
	l.wakeBy(f.deadline)
	l.rouse()
	return nil
}

// ready makes the loop run. Call it with l.mu held.
func (l *loop) ready() error {
	if l.closed {
		return os.ErrClosed
	}
	if l.running {
		return nil
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create", err)
	}
	l.epoll, l.running = fd, true
	l.flights, l.kick = map[int32]*flight{}, make(chan struct{}, 1)
	l.wg.Go(l.run)
	return nil
}

// wakeBy lets the goroutine look for what is due at t at the latest. Call it with l.mu held.
func (l *loop) wakeBy(t time.Time) {
	if l.wakeAt.IsZero() || t.Before(l.wakeAt) {
		l.wakeAt = t
		l.rouse()
	}
}

// rouse ends the rest of the goroutine. Call it with l.mu held.
func (l *loop) rouse() {
	if l.resting {
		l.resting = false
		l.kick <- struct{}{}
	}
}

// run takes in events until the loop is closed.
func (l *loop) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for l.wait(timer) {
		for l.round() >= many {
		}
	}
}

// round carries on what has events and does what is due. It returns how many conversations that were.
func (l *loop) round() int {
	n, _ := nonblock.Events(l.epoll, l.events[:])
	for _, e := range l.events[:max(n, 0)] {
		l.advance(e)
	}
	if n == len(l.events) { // answers may be waiting: on a busy host time is up for us, not for servers
		return n
	}
	now := time.Now()
	l.expire(now)
	return max(n, 0) + l.depart(now)
}

// wait sleeps until there may be something to do; false: the loop is closed.
func (l *loop) wait(timer *time.Timer) bool {
	l.mu.Lock()
	rest, closed := together, l.closed
	if len(l.cruises) >= crowd {
		rest = crowded
	}
	if len(l.flights) == 0 {
		l.resting = !closed
		rest = time.Hour
		if !l.wakeAt.IsZero() {
			rest = time.Until(l.wakeAt)
		}
	}
	l.mu.Unlock()
	if closed {
		return false
	}
	timer.Reset(rest)
	select {
	case <-timer.C:
	case <-l.kick:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resting = false
	select { // one that came beside the timer
	case <-l.kick:
	default:
	}
	return !l.closed
}

// advance carries on the flight that an event is about.
func (l *loop) advance(e unix.EpollEvent) {
	f := l.find(e)
	if f == nil {
		return
	}
	due := f.due()
	if f.advance(e.Events, l.buffer[:]) {
		l.land(f)
	} else if sooner := f.due(); sooner.Before(due) {
		l.mu.Lock()
		l.wakeBy(sooner)
		l.mu.Unlock()
	}
}

// find returns the flight that an event is about; nil: it is gone.
func (l *loop) find(e unix.EpollEvent) *flight {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.flights[e.Fd]; f != nil && f.generation == e.Pad {
		return f
	}
	return nil
}

// expire ends what has run out of time, and sets when to look again.
func (l *loop) expire(now time.Time) {
	for _, f := range l.expired(now) {
		if f.expire(now) {
			l.land(f)
		}
	}
}

func (l *loop) expired(now time.Time) []*flight {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wakeAt.IsZero() || now.Before(l.wakeAt) {
		return nil
	}
	var due []*flight
	var next time.Time
	for _, f := range l.flights {
		switch at := f.due(); {
		case !at.After(now):
			due = append(due, f)
		case next.IsZero() || at.Before(next):
			next = at
		}
	}
	l.wakeAt = next
	return due
}

// cut ends a flight before its time.
func (l *loop) cut(f *flight) {
	if f.cut() {
		l.land(f)
	}
}

// land forgets a flight that has ended; its cruise goes on, or who waits for it is told.
func (l *loop) land(f *flight) {
	if c := l.forget(f); c != nil {
		l.arrived(c, f)
		return
	}
	f.drop()
	f.done <- struct{}{}
}

// forget has a flight known no more, and returns its cruise. The number of its socket may be used again at once when
// that is closed, so this comes first.
func (l *loop) forget(f *flight) *cruise {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flights[f.fd] == f {
		delete(l.flights, f.fd)
	}
	return f.cruise
}

// close ends the goroutine. Flights must have landed.
func (l *loop) close() {
	l.mu.Lock()
	l.closed = true
	l.rouse()
	l.mu.Unlock()
	l.wg.Wait()
	if l.running {
		unix.Close(l.epoll)
	}
}
