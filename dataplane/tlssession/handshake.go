package tlssession

import (
	"context"
	"sync/atomic"
	"time"
)

// handshake is a session's handshake while it lasts. It runs in a coroutine of the loop or, where
// a callback may block, in a goroutine. Either has the turn or the loop has: busy says that it is
// not the loop's.
type handshake struct {
	s        *Session
	waker    Waker
	mayBlock bool
	first    bool // may begin without a record: the client's side
	co       *coroutine
	turn     chan struct{} // hands the turn to the goroutine; closed: give up
	busy     atomic.Bool
	aborted  atomic.Bool
	done     bool
	err      error
	// The goroutine's own, so that it touches nothing borrowed.
	record []byte
	answer []byte
	eof    bool
}

func newHandshake(s *Session, w Waker, mayBlock bool) *handshake {
	return &handshake{s: s, waker: w, mayBlock: mayBlock}
}

// HandshakePending tells whether the handshake is neither over nor failed. Close aborts it.
func (s *Session) HandshakePending() bool { return s.handshake != nil && s.err == nil }

// Handshake goes on as far as it can: nil if it is over, ErrMore if it needs more bytes or works
// aside and will Wake. Send Output after it, whatever it says.
func (s *Session) Handshake() error {
	h := s.handshake
	switch {
	case s.err != nil:
		return s.err
	case h == nil:
		return nil
	case h.busy.Load() || !h.step():
		s.in.keep()
		return ErrMore
	}
	s.handshake = nil
	if h.err != nil {
		s.fail(explain(h.err))
	}
	return s.err
}

// step gives the handshake the turn if there is something for it, and tells whether it is over.
func (h *handshake) step() bool {
	if h.mayBlock {
		return h.stepAside()
	}
	if h.co == nil {
		if n, _ := h.s.in.whole(); n == 0 && !h.first && !h.s.in.eof {
			return false // who sends nothing costs no coroutine
		}
		h.co = h.s.loop.take(h)
	}
	h.co.next()
	if h.done {
		h.s.loop.give(h.co)
		h.co = nil
	}
	return h.done
}

// stepAside takes over what the goroutine wrote and gives it the next record.
func (h *handshake) stepAside() bool {
	h.s.out.append(h.answer)
	h.answer = nil
	if h.done || !h.nextRecord() {
		return h.done
	}
	h.busy.Store(true)
	if h.turn != nil {
		h.turn <- struct{}{}
		return false
	}
	h.turn = make(chan struct{}, 1)
	go func() {
		h.run()
		h.wake()
	}()
	return false
}

// nextRecord copies one record for the goroutine; false: there is nothing for it to do.
func (h *handshake) nextRecord() bool {
	in := &h.s.in
	n, err := in.whole()
	switch {
	case n > 0 && err == nil:
		h.record = make([]byte, n)
		_, _ = in.read(h.record)
	case in.eof:
		h.eof = true
	case h.first:
	default:
		return false
	}
	h.first = false
	return true
}

func (h *handshake) run() {
	h.err = h.s.conn.HandshakeContext(handshakeContext{h})
	h.done = true
}

// wake ends a turn that was not the loop's.
func (h *handshake) wake() {
	h.busy.Store(false)
	if !h.aborted.Load() {
		h.waker.Wake()
	}
}

// read is the transport's Read during the handshake.
func (h *handshake) read(p []byte) (int, error) {
	for !h.aborted.Load() {
		n, err := h.take(p)
		if n > 0 || err != nil {
			return n, err
		}
		h.park()
	}
	return 0, ErrClosed
}

func (h *handshake) take(p []byte) (int, error) {
	in, eof := &h.s.in, h.eof
	if h.mayBlock {
		n := copy(p, h.record)
		if h.record = h.record[n:]; n > 0 {
			return n, nil
		}
	} else {
		if n, err := in.read(p); n > 0 || err != nil {
			return n, err
		}
		eof = in.eof
	}
	if eof {
		return 0, errCut
	}
	return 0, nil
}

// park gives the turn to the loop and waits until it comes back.
func (h *handshake) park() {
	if !h.mayBlock {
		h.co.yield(struct{}{})
		return
	}
	h.wake()
	<-h.turn
}

// write is the transport's Write during the handshake.
func (h *handshake) write(p []byte) error {
	switch {
	case h.aborted.Load():
		return ErrClosed
	case h.mayBlock:
		h.answer = append(h.answer, p...)
	default:
		h.s.out.append(p)
	}
	return nil
}

// aside computes f in a goroutine while the loop goes on; false: the session was closed meanwhile.
// It is called within the handshake.
func (h *handshake) aside(f func()) bool {
	if h.mayBlock {
		f()
		return true
	}
	h.busy.Store(true)
	go func() {
		signing := h.s.loop.signing
		signing <- struct{}{}
		if !h.aborted.Load() {
			f()
		}
		<-signing
		h.wake()
	}()
	for h.busy.Load() && !h.aborted.Load() {
		h.park()
	}
	return !h.aborted.Load()
}

// abort ends the handshake: a coroutine at once, a goroutine when it next asks for the turn.
func (h *handshake) abort() {
	switch {
	case h.aborted.Swap(true):
	case h.co != nil:
		h.co.next()
		h.s.loop.give(h.co)
		h.co = nil
	case h.turn != nil:
		close(h.turn)
	}
}

// handshakeContext lets callbacks of crypto/tls find their handshake.
type handshakeContext struct{ h *handshake }

type handshakeKey struct{}

var _ context.Context = handshakeContext{}

func (handshakeContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (handshakeContext) Done() <-chan struct{}       { return nil }
func (handshakeContext) Err() error                  { return nil }
func (c handshakeContext) Value(key any) any {
	if key == (handshakeKey{}) {
		return c.h
	}
	return nil
}
