package l7

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// past is a deadline that has passed: it ends blocked reads and writes of a connection.
var past = time.Unix(1, 0)

// watch ends a client connection, and the server connection it holds, that waited too long. It
// costs one timer a client connection, which is hardly ever set anew, instead of a deadline for
// each read and write.
type watch struct {
	base     time.Time
	deadline atomic.Int64 // nanoseconds since base
	limit    atomic.Int64 // what touch adds
	armed    atomic.Int64 // when the timer goes off
	fired    atomic.Bool

	mu      sync.Mutex
	timer   *time.Timer
	conns   [2]net.Conn // client, server
	stopped bool
}

func (w *watch) now() int64 { return int64(time.Since(w.base)) }

// start watches the client's connection; stop must follow.
func (w *watch) start(client net.Conn, limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.base = time.Now()
	w.conns[0] = client
	w.limit.Store(int64(limit))
	w.deadline.Store(int64(limit))
	w.armed.Store(int64(limit))
	w.timer = time.AfterFunc(limit, w.ring)
	if w.fired.Load() {
		_ = client.SetDeadline(past)
	}
}

// phase begins a time of waiting with a limit of its own.
func (w *watch) phase(limit time.Duration) {
	w.limit.Store(int64(limit))
	d := w.now() + int64(limit)
	w.deadline.Store(d)
	if d >= w.armed.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		w.armed.Store(d)
		w.timer.Reset(limit)
	}
}

// touch tells that something moved.
func (w *watch) touch() { w.deadline.Store(w.now() + w.limit.Load()) }

// ring is the timer: it waits on if something moved since it was set.
func (w *watch) ring() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	d := w.deadline.Load()
	if left := d - w.now(); left > 0 {
		w.armed.Store(d)
		w.timer.Reset(time.Duration(left))
		return
	}
	w.cutLocked()
}

func (w *watch) cutLocked() {
	w.fired.Store(true)
	for _, c := range w.conns {
		if c != nil {
			_ = c.SetDeadline(past)
		}
	}
}

// cut ends the waiting now.
func (w *watch) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cutLocked()
}

// server sets or takes away (nil) the server's connection.
func (w *watch) server(c net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[1] = c
	if c != nil && w.fired.Load() {
		_ = c.SetDeadline(past)
	}
}

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.timer.Stop()
	w.conns = [2]net.Conn{}
}
