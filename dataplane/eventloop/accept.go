package eventloop

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/nonblock"
)

// verdict is what an error of accept4 means.
type verdict int

const (
	taken   verdict = iota // there is a connection
	none                   // nobody waits
	skipped                // one connection broke before it was taken, or a packet filter forbade it: take the next
	short                  // the host or the process has no more of something: rest
)

// judge reads an error of accept4. Errors of the network belong to one connection and are passed over
// (accept(2), "Error handling"). What is unknown rests: neither spinning nor giving up is right.
func judge(err error) verdict {
	switch err {
	case nil:
		return taken
	case unix.EAGAIN:
		return none
	case unix.EINTR, unix.ECONNABORTED, unix.EPERM, unix.EPROTO, unix.ENETDOWN, unix.ENOPROTOOPT, unix.EHOSTDOWN,
		unix.ENONET, unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH, unix.ETIMEDOUT:
		return skipped
	default:
		return short
	}
}

// advice says what to do about an error after which accepting rests. It goes on by itself once the cause is gone.
func advice(err error) string {
	switch err {
	case unix.EMFILE:
		return "new connections have to wait: this process has as many files open as it may; raise its limit (LimitNOFILE, ulimit -n) or end connections"
	case unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ENOSPC:
		return "new connections have to wait: the host is short of open files or memory; raise fs.file-max or fs.epoll.max_user_watches, free memory, or end connections"
	default:
		return "new connections have to wait: the listening socket does not accept; restart the process that opened it"
	}
}

// sample is how many loops are compared for one connection: reading the counters of all would cost more than it
// gives on hosts with many cores.
const sample = 8

// choose says which of n loops gets a connection that loop self has accepted. It is self, unless another of those
// looked at has fewer open ones by more than an eighth, and by more than end anyway within moments: with few connections
// they are spread one by one, with many a hand-over is rare, and those that end after a request stay where they
// are until the loop falls behind. turn goes up with each connection and picks whom to look at.
func choose(n, self, turn int, ending int64, open func(int) int64) int {
	best, fewest := self, open(self)
	bound := fewest
	for i := range min(n, sample) {
		other := (turn + i) % n
		if count := open(other); count < fewest {
			best, fewest = other, count
		}
	}
	if bound <= fewest+max(fewest/8, ending) {
		return self
	}
	return best
}

// churn is how many connections of a loop end within moment.
type churn struct {
	since       time.Duration
	last, count int64
}

const moment = 4 * time.Millisecond

// turn begins a new moment if the last one is over.
func (c *churn) turn(now time.Duration) {
	passed := now - c.since
	if passed < moment {
		return
	}
	if c.last = 0; passed < 2*moment {
		c.last = c.count
	}
	c.since, c.count = now, 0
}

func (c *churn) ended(now time.Duration) {
	c.turn(now)
	c.count++
}

func (c *churn) rate(now time.Duration) int64 {
	c.turn(now)
	return max(c.last, c.count)
}

// handed is a connection on its way to its loop.
type handed struct {
	from *Listener
	fd   int
	peer netip.AddrPort
}

// arrive gives the connection to the acceptor.
func (c handed) arrive(l *Loop) {
	if l.closing {
		c.refuse(l)
		return
	}
	c.give(l, c.from.to)
}

// give gives the connection to any acceptor.
func (c handed) give(l *Loop, to Acceptor) {
	before := l.current
	l.current, l.newborn = 0, c
	to.Accepted(l, c.from, c.fd, c.peer)
	l.current, l.newborn = before, handed{}
}

func (c handed) refuse(l *Loop) {
	_ = nonblock.Close(c.fd)
	c.from.Done(l)
}
