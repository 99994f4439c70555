package tlssession

import "iter"

// maxIdleCoroutines is how many coroutines a loop keeps between handshakes, with their grown
// stacks (about 16 KiB each).
const maxIdleCoroutines = 32

// Loop is what the sessions of one event loop share. It belongs to the loop's goroutine, which
// must not change between being locked to its thread and not (runtime.LockOSThread) while it
// exists: the runtime refuses to switch coroutines then.
type Loop struct {
	buffers Buffers
	idle    []*coroutine
	closed  bool
	// signing holds the signatures of a loop to one at a time, so that handshakes cannot take the
	// processors from the loops.
	signing chan struct{}
}

// NewLoop makes the shared part of a loop's sessions.
func NewLoop(b Buffers) *Loop {
	return &Loop{buffers: b, signing: make(chan struct{}, 1)}
}

// Close ends the coroutines. Close the sessions first.
func (l *Loop) Close() {
	l.closed = true
	for _, co := range l.idle {
		co.stop()
	}
	l.idle = nil
}

// coroutine runs handshakes one after another, each in steps, on the thread of whoever calls next.
type coroutine struct {
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	job   *handshake
}

func newCoroutine() *coroutine {
	co := &coroutine{}
	co.next, co.stop = iter.Pull(func(yield func(struct{}) bool) {
		co.yield = yield
		for {
			co.job.run()
			co.job = nil
			if !yield(struct{}{}) {
				return
			}
		}
	})
	return co
}

func (l *Loop) take(h *handshake) *coroutine {
	var co *coroutine
	if n := len(l.idle); n > 0 {
		co, l.idle = l.idle[n-1], l.idle[:n-1]
	} else {
		co = newCoroutine()
	}
	co.job = h
	return co
}

func (l *Loop) give(co *coroutine) {
	if l.closed || len(l.idle) >= maxIdleCoroutines {
		co.stop()
		return
	}
	l.idle = append(l.idle, co)
}
