package eventloop

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/nonblock"
)

const (
	// batch is how many events one turn takes.
	batch = 256
	// yieldAfter is how many turns a busy loop takes before it lets other goroutines have its core.
	yieldAfter = 64
	// nap is how long a brisk loop waits by itself before it parks: parking and waking up through the Go runtime cost
	// as much as serving a small request.
	nap = 50 * time.Microsecond
	// briskly is how soon after the turn before events come to a loop that is worth a nap.
	briskly = 2 * nap
)

// Loop is one event loop. Unless they say otherwise, its methods may be called on its own goroutine only: in
// handlers, timers and tasks.
type Loop struct {
	group *Group
	index int
	epoll int
	gate  gate
	wake  Source
	ended chan struct{}

	sources sources
	inbox   inbox
	wheel   wheel
	blocks  blocks
	pipes   pipes

	events   []unix.EpollEvent
	ready    int    // how many events this turn has
	next     int    // which one comes next
	due      int    // how many of the put-off sources this turn has
	current  key    // whose handler is running
	newborn  handed // the connection that an acceptor is being given
	now      time.Duration
	busy     int  // turns since the loop last let go of its core
	brisk    bool // events came soon after the last turn
	closing  bool
	counters counters
	open     atomic.Int64 // accepted connections
	churn    churn
}

func newLoop(g *Group, index int) (*Loop, error) {
	l := &Loop{group: g, index: index, ended: make(chan struct{}), events: make([]unix.EpollEvent, batch)}
	l.sources.init()
	l.pipes.size = g.config.PipeSize
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("eventloop: make an epoll instance: %w", err)
	}
	if err = l.gate.open(l.epoll); err != nil {
		_ = unix.Close(l.epoll)
		return nil, err
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err == nil {
		l.inbox.wake = wake
		err = l.Add(&l.wake, wake, woken{}, Readable)
	}
	if err != nil {
		l.release()
		return nil, fmt.Errorf("eventloop: make the descriptor that wakes a loop: %w", err)
	}
	return l, nil
}

// woken is what the wake descriptor tells: that the inbox has something, which each turn looks at anyway. By
// edges, so it is never read; its counter would overflow after 2^64 wake-ups.
type woken struct{}

func (woken) Ready(Events) {}

// Index is the loop's place in Group.Loops.
func (l *Loop) Index() int { return l.index }

// Now is the time of this turn, since the group began: the clock is read once a turn.
func (l *Loop) Now() time.Duration { return l.now }

// Closing says that the group is being closed: nothing new should begin.
func (l *Loop) Closing() bool { return l.closing }

// TurnBytes is how many bytes a connection may move in one turn; then it calls Again.
func (l *Loop) TurnBytes() int { return l.group.config.TurnBytes }

func (l *Loop) run() {
	defer close(l.ended)
	for !l.closing {
		l.guarded(l.turns)
	}
	for left := true; left; {
		left = false
		l.guarded(func() { left = true; l.finish(); left = false })
	}
	l.release()
}

// turns works until the loop is closed.
func (l *Loop) turns() {
	for !l.closing {
		l.dispatch()
		l.inbox.run(l)
		l.fire()
		l.collect()
	}
}

// guarded contains a mistake in a handler: what it was serving is cut off, everything else goes on.
func (l *Loop) guarded(work func()) {
	defer func() {
		if cause := recover(); cause != nil {
			l.group.config.Log.Error(fmt.Errorf("panic: %v", cause), "a mistake in the program ended one connection; please report this", "stack", string(debug.Stack()))
			l.cutOff(l.culprit())
		}
	}()
	work()
}

// dispatch delivers the events of this turn, then serves those that had been put off before it.
func (l *Loop) dispatch() {
	for l.next < l.ready {
		event := &l.events[l.next]
		l.next++
		l.deliver(key(nonblock.Data(event)), Events(event.Events))
	}
	for l.due > 0 {
		l.due--
		k := l.sources.pop()
		if l.sources.has(k) {
			l.sources.slots[k.slot()].queued = false
			l.deliver(k, Again)
		}
	}
	l.current = 0
}

// deliver tells a handler, unless the descriptor it was about is gone.
func (l *Loop) deliver(k key, events Events) {
	if !l.sources.has(k) {
		l.counters.stale.Add(1)
		return
	}
	l.current = k
	l.sources.slots[k.slot()].handler.Ready(events)
}

// collect asks what has happened, and parks if there is nothing to do.
func (l *Loop) collect() {
	l.next, l.due = 0, l.sources.queued()
	l.ready, _ = nonblock.Events(l.epoll, l.events)
	switch {
	case l.ready == 0 && l.due == 0 && !l.closing:
		l.park()
		l.busy = 0
	case l.busy >= yieldAfter:
		runtime.Gosched()
		l.busy = 0
	default:
		l.busy++
	}
	before := l.now
	l.now = time.Since(l.group.start)
	l.brisk = l.now-before < briskly
	l.counters.turns.Add(1)
	l.counters.events.Add(uint64(l.ready))
}

// park waits until something happens, a timer is due or someone posts.
func (l *Loop) park() {
	until, limited := l.wheel.next()
	if limited && until <= l.now || !l.inbox.sleep() {
		return
	}
	if l.brisk {
		if l.ready, _ = nonblock.EventsWithin(l.epoll, l.events, int64(nap)); l.ready > 0 {
			l.inbox.awake()
			return
		}
	}
	l.counters.parks.Add(1)
	l.gate.wait(l.group.start, l.now, until, limited)
	l.inbox.awake()
	l.ready, _ = nonblock.Events(l.epoll, l.events)
}

// finish ends everything.
func (l *Loop) finish() {
	l.sources.each(func(k key) { l.deliver(k, Closing) })
	l.current = 0
	for !l.inbox.end() {
		l.inbox.run(l)
	}
}

// release gives back every descriptor.
func (l *Loop) release() {
	l.sources.each(l.drop)
	l.pipes.release()
	l.gate.close()
	_ = nonblock.Close(l.epoll)
}
