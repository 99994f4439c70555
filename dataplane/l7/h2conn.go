package l7

import (
	"io"
	"time"

	"github.com/truepacs/balancer/dataplane/http1"
	"github.com/truepacs/balancer/dataplane/http2"
	"github.com/truepacs/balancer/dataplane/stream"
)

// h2conn is what a client connection has that speaks HTTP/2. The frames are package http2's; each stream is an
// exchange of its own.
type h2conn struct {
	conn    *httpConn
	http2   *http2.Conn
	open    *h2stream   // linked
	ready   []*h2stream // may go on
	spare   []*h2stream // memory for ready
	limit   time.Duration
	stalled bool // nothing was read, because too much waits to be written
	leaving bool // no more streams are wanted
	closed  bool // nothing more is to be read
	trimmed bool // memory was given back since the last stream
}

// trimAfter is how long a connection without streams keeps the memory for the next.
const trimAfter = 2 * time.Second

var _ http2.Handler = (*h2conn)(nil)

// multiplex goes on in HTTP/2 with a connection on which nothing was read.
func (c *httpConn) multiplex() {
	m := &h2conn{conn: c}
	m.http2 = http2.New(http2.Config{MaxFields: http1.DefaultHeadBytes - 1<<10, ExtendedConnect: true}, m)
	c.h2, c.state = m, multiplexing
}

// run goes on with everything that can go on. Streams have one turn each; what is left has the next.
func (m *h2conn) run() {
	if m.conn.late() && m.late() || !m.read() {
		return
	}
	m.serve()
	m.send()
}

// read gives the client's bytes to package http2, unless more waits to be written than should; false: the connection
// has ended.
func (m *h2conn) read() bool {
	c := m.conn
	b := c.w.loop.TakeBlock()
	defer c.w.loop.GiveBlock(b)
	for budget := c.w.loop.TurnBytes(); !m.closed; {
		if m.stalled = m.http2.Full(); m.stalled || budget <= 0 {
			break
		}
		n, err := c.stream.Read(b[:])
		switch {
		case err == stream.ErrAgain:
			return true
		case err == io.EOF:
			m.closed = true
			m.lose(func(s *h2stream) bool { return !s.ended })
			return true
		case err != nil:
			m.broken()
			return false
		}
		m.closed = m.http2.Feed(b[:n]) != nil
		if !m.http2.Partial() {
			c.touch()
		}
		budget -= n
	}
	if !m.stalled && !m.closed {
		c.stream.Again()
	}
	return true
}

// lose ends streams whose client is gone.
func (m *h2conn) lose(which func(*h2stream) bool) {
	for s := m.open; s != nil; s = s.next {
		if which(s) {
			s.lost = true
			m.rouse(s)
		}
	}
}

// broken ends the connection, which carries nothing any more.
func (m *h2conn) broken() {
	m.closed = true
	m.http2.Abort()
	for m.serve(); len(m.ready) > 0; m.serve() {
	}
	m.conn.end(false)
}

// discard ends all streams at once; nothing more is told to anybody.
func (m *h2conn) discard() {
	m.closed = true
	for s := m.open; s != nil; s = m.open {
		s.kill()
	}
}

// rouse has a stream go on in its turn.
func (m *h2conn) rouse(s *h2stream) {
	if !s.queued {
		s.queued = true
		m.ready = append(m.ready, s)
	}
}

// serve has every stream go on that can.
func (m *h2conn) serve() {
	turn := m.ready
	m.ready, m.spare = m.spare[:0], nil
	for i, s := range turn {
		turn[i] = nil
		if s.conn == m {
			s.queued = false
			s.step()
		}
	}
	m.spare = turn[:0]
}

// sendSoon sends what a stream has to say, together with what others may have in the same turn.
func (m *h2conn) sendSoon() {
	if m.open == nil || m.open.next == nil {
		m.send()
		return
	}
	m.conn.stream.Again()
}

// send writes what is to be sent, lets streams fill the room, and settles what becomes of the connection.
func (m *h2conn) send() {
	if m.conn.ending() && !m.leaving {
		m.leaving = true
		m.http2.Shutdown()
	}
	err := m.write()
	if err == nil {
		err = m.conn.stream.Flush()
	}
	if err != nil && err != stream.ErrAgain {
		m.broken()
		return
	}
	m.settle(err == nil)
}

func (m *h2conn) write() error {
	for out := m.http2.Output(); len(out) > 0; out = m.http2.Output() {
		n, err := m.conn.stream.Write(out)
		if err != nil {
			return err
		}
		m.conn.touch()
		if m.http2.Sent(n); len(m.ready) > 0 {
			m.serve()
		}
	}
	return nil
}

// settle ends the connection if nothing is left to be done, and else limits how long it waits.
func (m *h2conn) settle(sent bool) {
	c := m.conn
	if sent && (m.http2.Ended() || m.closed) && m.open == nil {
		c.linger()
		return
	}
	if len(m.ready) > 0 || m.stalled && !m.http2.Full() {
		c.stream.Again()
	}
	if limit := m.patience(sent); limit != m.limit {
		m.limit = limit
		c.phase(limit)
	}
}

// patience is how long nothing may move.
func (m *h2conn) patience(sent bool) time.Duration {
	t := &m.conn.w.engine.cfg.Timeouts
	switch {
	case m.http2.Partial():
		return t.Header
	case m.open != nil || !sent:
		return t.Transfer
	case m.leaving:
		return t.DrainIdle
	case m.trimmed:
		return t.KeepAlive - trimAfter
	}
	return min(t.KeepAlive, trimAfter)
}

// late says whether a connection on which nothing moved ends. While it has streams, their limits count.
func (m *h2conn) late() bool {
	switch idle := m.limit == trimAfter && trimAfter < m.conn.w.engine.cfg.Timeouts.KeepAlive; {
	case m.open != nil && !m.http2.Partial():
		m.conn.phase(m.limit)
		return false
	case idle && !m.trimmed && !m.leaving && !m.http2.Partial() && len(m.http2.Output()) == 0:
		m.http2.Trim()
		m.trimmed = true
		return false
	}
	m.http2.Shutdown() // at once: the second call waits for nothing
	m.http2.Shutdown()
	_ = m.write()
	m.broken()
	return true
}

// Request implements http2.Handler.
func (m *h2conn) Request(s *http2.Stream, r *http2.Request, end bool) {
	m.trimmed = false
	m.accept(s, r, end)
}

// Data implements http2.Handler.
func (m *h2conn) Data(hs *http2.Stream, p []byte, end bool) {
	s := hs.Owner.(*h2stream)
	s.backlog.append(m.conn.w.loop, p)
	s.ended = s.ended || end
	s.parted()
	s.touch()
	m.rouse(s)
}

// Trailers implements http2.Handler.
func (m *h2conn) Trailers(hs *http2.Stream, fields []http2.Field) {
	s := hs.Owner.(*h2stream)
	s.tail = appendTrailers(s.tail, fields)
	s.ended = true
	s.parted()
	m.rouse(s)
}

// Reset implements http2.Handler.
func (m *h2conn) Reset(hs *http2.Stream, _ http2.ErrCode) {
	s := hs.Owner.(*h2stream)
	s.http2, s.lost = nil, true
	m.rouse(s)
}

// Writable implements http2.Handler.
func (m *h2conn) Writable(hs *http2.Stream) { m.rouse(hs.Owner.(*h2stream)) }
