package eventloop

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/nonblock"
)

const (
	// acceptBatch is how many connections are taken before others have their turn.
	acceptBatch = 16
	// restFirst and restMost bound how long accepting rests when the host is out of descriptors or memory.
	restFirst = 50 * time.Millisecond
	restMost  = time.Second
)

// Acceptor is given new connections.
type Acceptor interface {
	// Accepted is called on the loop that the connection is to live on. The descriptor is non-blocking and the
	// Acceptor's. When the connection has ended, it calls Done of the listener once, on the same loop.
	Accepted(l *Loop, from *Listener, fd int, peer netip.AddrPort)
}

// Listener takes connections from one listening socket for all loops of a group.
//
// One loop accepts, and hands a connection to the loop with the fewest open ones when it has itself noticeably
// more, apart from those that end at once (see choose). The socket is not watched by every loop: EPOLLEXCLUSIVE
// wakes one of several only if threads wait in the very epoll instances that hold the socket. Loops that park behind a gate would all
// be woken for each connection.
type Listener struct {
	group *Group
	loop  *Loop
	to    Acceptor
	ended chan struct{}

	open   atomic.Int64
	closed atomic.Bool

	// On the loop only.
	source   Source
	timer    Timer
	rest     time.Duration // how long accepting rests; 0: the last accept went well
	resting  bool
	watching bool
	turn     int
}

var (
	_ Handler = (*Listener)(nil)
	_ Task    = (*Listener)(nil)
	_ Expirer = (*Listener)(nil)
)

// Listen begins to accept from a listening stream socket, which stays the caller's: the listener has a
// duplicate. The socket is made non-blocking, for all processes that share it. It may be called from any
// goroutine that is not one of the loops.
func (g *Group) Listen(fd int, to Acceptor) (*Listener, error) {
	if on, err := nonblock.GetInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || on == 0 {
		return nil, fmt.Errorf("eventloop: descriptor %d is not a listening socket (%w): call listen(2) before passing it on", fd, errOr(err, unix.EINVAL))
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("eventloop: duplicate a listening socket: %w", err)
	}
	if err := unix.SetNonblock(own, true); err != nil {
		_ = unix.Close(own)
		return nil, fmt.Errorf("eventloop: make a listening socket non-blocking: %w", err)
	}
	x := &Listener{group: g, to: to, ended: make(chan struct{})}
	x.timer.To = x
	x.loop = g.loops[int(g.turns.Add(1)-1)%len(g.loops)]
	if !x.loop.Do(func() { x.begin(own) }) {
		_ = unix.Close(own)
		return nil, fmt.Errorf("eventloop: the group is closed: no socket can be added")
	}
	return x, nil
}

func errOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// Close gives up the socket. Open connections go on. Any goroutine may call it; Ended tells when it is done.
func (x *Listener) Close() {
	x.closed.Store(true)
	x.loop.Post(x)
}

// Ended is closed once the listener has given up its socket.
func (x *Listener) Ended() <-chan struct{} { return x.ended }

// Open is how many connections there are. Any goroutine may call it.
func (x *Listener) Open() int { return int(x.open.Load()) }

// Done says that a connection given to Accepted has ended; l is the loop it lived on.
func (x *Listener) Done(l *Loop) {
	l.open.Add(-1)
	l.churn.ended(l.now)
	x.open.Add(-1)
}

func (x *Listener) begin(fd int) {
	if x.loop.closing {
		_ = nonblock.Close(fd)
		close(x.ended)
		return
	}
	_ = x.loop.Add(&x.source, fd, x, 0)
	x.settle()
}

// Run is for the loop: something has changed.
func (x *Listener) Run(*Loop) {
	if x.closed.Load() {
		x.end()
		return
	}
	x.settle()
}

// Expired is for the loop: accepting has rested.
func (x *Listener) Expired(*Timer) {
	x.resting = false
	x.settle()
}

func (x *Listener) end() {
	if !x.source.Active() {
		return
	}
	x.closed.Store(true)
	x.settle() // the socket lives on in another process, so closing it here would not end its registration
	x.loop.StopTimer(&x.timer)
	x.loop.Close(&x.source)
	close(x.ended)
}

// wanted says whether connections should be accepted now.
func (x *Listener) wanted() bool {
	return !x.closed.Load() && !x.resting
}

// settle watches the socket if and only if connections are wanted. It is watched by level, so what one batch
// leaves is told again.
func (x *Listener) settle() {
	want := x.wanted()
	if want == x.watching || !x.source.Active() {
		return
	}
	if !want {
		x.watching = false
		_ = nonblock.Delete(x.loop.epoll, x.source.FD())
		return
	}
	if err := nonblock.Add(x.loop.epoll, x.source.FD(), unix.EPOLLIN, uint64(x.loop.sources.key(x.source.slot))); err != nil {
		x.pauseFor(err)
		return
	}
	x.watching = true
}

// Ready is for the loop: connections wait.
func (x *Listener) Ready(events Events) {
	if events&Closing != 0 {
		x.end()
		return
	}
	for range acceptBatch {
		if !x.wanted() {
			x.settle()
			return
		}
		fd, peer, err := nonblock.Accept4(x.source.FD())
		switch judge(err) {
		case taken:
			x.rest = 0
			x.place(handed{from: x, fd: fd, peer: peer})
		case none:
			return
		case short:
			x.pauseFor(err)
			return
		}
	}
}

// place gives a connection to a loop.
func (x *Listener) place(c handed) {
	x.turn++
	loops := x.group.loops
	to := loops[choose(len(loops), x.loop.index, x.turn, x.loop.churn.rate(x.loop.now), func(i int) int64 { return loops[i].open.Load() })]
	x.open.Add(1)
	to.open.Add(1)
	to.counters.accepted.Add(1)
	if to == x.loop {
		c.arrive(to)
		return
	}
	x.loop.counters.handedOver.Add(1)
	if !to.inbox.post(nil, c) {
		c.refuse(to)
	}
}

// pauseFor rests, longer each time, and says so once.
func (x *Listener) pauseFor(cause error) {
	if x.rest == 0 {
		x.group.config.Log.Error(cause, advice(cause), "listener", x.name(), "open", x.Open())
	}
	x.rest = min(max(2*x.rest, restFirst), restMost)
	x.resting = true
	x.settle()
	x.loop.SetTimer(&x.timer, x.rest)
}

func (x *Listener) name() string {
	at, _ := nonblock.Local(x.source.FD())
	return at.String()
}
