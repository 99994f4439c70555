package eventloop

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/nonblock"
)

// Events is what a Handler is told: bits of epoll(7), and two of the loop's own.
type Events uint32

const (
	// Readable says that bytes, or the end, have come. By edges: it is told again only after more has come, so
	// read until EAGAIN or a short read.
	Readable Events = unix.EPOLLIN
	// Writable says that a connect is over, or that there is room after a write that got EAGAIN.
	Writable Events = unix.EPOLLOUT
	// Ended says that the peer sends no more: a short read is then not the last one.
	Ended Events = unix.EPOLLRDHUP
	// Failed says that the connection is broken: read or write to learn how.
	Failed Events = unix.EPOLLERR
	// Gone says that both directions have ended, properly or not.
	Gone Events = unix.EPOLLHUP
	// Again says that the turn has come for which the handler asked by Loop.Again.
	Again Events = 1 << 24
	// Closing says that the group is closed. The handler closes its sources; what it leaves, the loop closes.
	Closing Events = 1 << 25

	edge = uint32(1 << 31) // EPOLLET
)

// Handler is told about one descriptor, on the loop's goroutine. It must not block.
type Handler interface {
	Ready(Events)
}

// Source is one descriptor on a loop. It lies in its owner; the zero value is one that is on no loop.
type Source struct {
	fd      int32
	slot    int32 // 0: on no loop
	watched Events
}

// FD is the descriptor; meaningless unless Active.
func (s *Source) FD() int { return int(s.fd) }

// Active says whether the source is on a loop.
func (s *Source) Active() bool { return s.slot != 0 }

// Add puts a non-blocking descriptor on the loop, which closes it from then on (Close). Interest is Readable and
// Writable as wanted; 0 leaves the kernel out until Expect, which spares the system call for what ends at
// once. After an error the descriptor is still the caller's.
func (l *Loop) Add(s *Source, fd int, h Handler, interest Events) error {
	*s = Source{fd: int32(fd), slot: l.sources.take(h, int32(fd))}
	if interest == 0 {
		return nil
	}
	if err := l.Expect(s, interest); err != nil {
		l.sources.free(s.slot)
		*s = Source{}
		return err
	}
	return nil
}

// Expect adds to what the source waits for. What is possible already is told too.
func (l *Loop) Expect(s *Source, interest Events) error {
	want := s.watched | interest
	if want == s.watched {
		return nil
	}
	if err := l.control(s, uint32(want)|unix.EPOLLRDHUP|edge); err != nil {
		return fmt.Errorf("eventloop: watch a descriptor: %w", err)
	}
	s.watched = want
	return nil
}

func (l *Loop) control(s *Source, events uint32) error {
	k := l.sources.key(s.slot)
	if s.watched == 0 {
		return nonblock.Add(l.epoll, s.FD(), events, uint64(k))
	}
	return nonblock.Modify(l.epoll, s.FD(), events, uint64(k))
}

// Again has the source's handler told Again in the next turn, after those that asked earlier. Asking twice, and
// closing the source in between, are fine.
func (l *Loop) Again(s *Source) {
	if slot := &l.sources.slots[s.slot]; s.Active() && !slot.queued {
		slot.queued = true
		l.sources.push(l.sources.key(s.slot))
	}
}

// Close takes the source off the loop and closes its descriptor. Nothing more is told about it, whatever was
// under way. A source that is on no loop is left as it is.
func (l *Loop) Close(s *Source) {
	if !s.Active() {
		return
	}
	l.sources.free(s.slot)
	_ = nonblock.Close(s.FD())
	*s = Source{}
}

// Pass takes an accepted connection off the loop, which does not close it, and gives it to an acceptor as if it had just
// been accepted: to one that need not know what was done with the connection before.
func (l *Loop) Pass(s *Source, from *Listener, peer netip.AddrPort, to Acceptor) {
	c := handed{from: from, fd: s.FD(), peer: peer}
	if s.watched != 0 {
		_ = nonblock.Delete(l.epoll, c.fd)
	}
	l.sources.free(s.slot)
	*s = Source{}
	c.give(l, to)
}

// culprit is what the loop was serving when a mistake happened; 0: nothing that can be cut off.
func (l *Loop) culprit() key {
	if l.newborn.from == nil {
		return l.current
	}
	c, found := l.newborn, key(0)
	l.newborn = handed{}
	l.sources.each(func(k key) {
		if l.sources.slots[k.slot()].fd == int32(c.fd) {
			found = k
		}
	})
	if found == 0 {
		c.refuse(l)
	}
	return found
}

// cutOff ends what a handler was serving when it failed.
func (l *Loop) cutOff(k key) {
	defer func() {
		_ = recover() // its state is broken: then its own descriptor is all that can be taken from it
		l.current = 0
		if k != 0 && l.sources.has(k) {
			l.drop(k)
		}
	}()
	if k != 0 && l.sources.has(k) {
		l.deliver(k, Closing)
	}
}

// drop closes a descriptor whose handler did not.
func (l *Loop) drop(k key) {
	fd := l.sources.slots[k.slot()].fd
	l.sources.free(k.slot())
	_ = nonblock.Close(int(fd))
}
