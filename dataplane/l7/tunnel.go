package l7

import (
	"errors"
	"io"
	"sync"
	"time"
)

// tunnel carries bytes between two connections, both ways, until both directions have ended or
// one has failed. The end of one direction is passed on and leaves the other open.
type tunnel struct {
	client, server *stream
	watch          *watch
	halfClosed     time.Duration

	mu    sync.Mutex
	ended bool // one direction has
}

// run returns the bytes carried from client to server and back. The error is nil if both
// directions ended properly; then and otherwise the caller closes both connections.
func (t *tunnel) run() (in, out int64, err error) {
	var back error
	var mistake any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if mistake = recover(); mistake != nil {
				t.abort()
			}
		}()
		out, back = t.carry(t.server, t.client)
	}()
	in, err = t.carry(t.client, t.server)
	<-done
	if mistake != nil {
		panic(mistake) // where one connection's panic is survived
	}
	return in, out, errors.Join(err, back)
}

// carry moves one direction.
func (t *tunnel) carry(from, to *stream) (n int64, err error) {
	n, err = t.pump(from, to)
	if err == nil {
		err = to.closeWrite()
	}
	if err != nil {
		t.abort()
		return n, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.ended = true
		t.watch.phase(t.halfClosed)
	}
	return n, nil
}

// abort makes both ends see an error, as the failing one did.
func (t *tunnel) abort() {
	t.watch.cut()
	t.client.reset()
	t.server.reset()
}

func (t *tunnel) pump(from, to *stream) (n int64, err error) {
	if p := from.buffered(); len(p) > 0 {
		m, err := to.conn.Write(p)
		n += int64(m)
		from.skip(len(p))
		if err != nil {
			return n, err
		}
	}
	var fast splicer
	for {
		got, err := t.step(from, to)
		n += int64(got)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if got == largeSize && fast.possible(from, to) {
			moved, err := fast.run(from, to, t.watch, 1<<62)
			n += moved
			if err != nil {
				return n, err
			}
		}
	}
}

// step reads once and writes once.
func (t *tunnel) step(from, to *stream) (int, error) {
	buf, got, err := from.read(wanted{max: largeSize})
	if err != nil {
		return 0, err
	}
	defer giveBack(buf)
	t.watch.touch()
	n, err := to.conn.Write(buf[:got])
	t.watch.touch()
	return n, err
}
