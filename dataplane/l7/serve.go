package l7

import (
	"sync/atomic"
	"time"

	"github.com/truepacs/balancer/dataplane/http1"
)

// httpConn is a client connection that speaks HTTP/1.
type httpConn struct {
	client
	req   http1.Request
	idle  atomic.Bool // waiting for the first byte of a request
	x     exchange
	up    upload
	down  transfer
	upDec http1.ChunkDecoder
	dnDec http1.ChunkDecoder
}

// exchange is one request with its response.
type exchange struct {
	began     time.Time
	route     *route
	matched   int // length of the route's prefix
	seat      seat
	out       []byte // borrowed, for heads
	method    method
	keep      bool  // the client connection outlives the exchange
	stuck     bool  // it must be fed on for a while, or the client misses the answer
	head      bool  // the client has seen a response head
	cookie    bool  // the browser knows its server
	uploadErr error // of an upload that ended
	upgrade   bool  // the request asks for another protocol
	going     bool  // the 100 (Continue) was passed on
	status    int
	server    string // that answered
	failed    bool
}

// method tells what the framing of a response depends on, after the request is gone.
type method string

func (m method) isHead() bool { return m == "HEAD" }

// hurry gives an idle connection little time for one more request.
func (c *httpConn) hurry() {
	if c.idle.Load() {
		c.watch.phase(c.engine.cfg.Timeouts.DrainIdle)
	}
}

func (c *httpConn) run() {
	defer c.in.drop()
	defer c.watch.stop()
	defer c.in.conn.Close()
	if !c.begin() {
		return
	}
	first := true
	for c.next(first) {
		first = false
	}
	if c.x.stuck {
		c.linger()
	}
}

// next serves one request; false ends the connection.
func (c *httpConn) next(first bool) bool {
	c.x = exchange{}
	ok, err := c.readHead(first)
	if err != nil {
		c.answerBroken(err)
		return false
	}
	if !ok {
		return false
	}
	c.watch.phase(c.engine.cfg.Timeouts.Transfer)
	c.renew()
	c.listener.stats.requests.Add(1)
	c.x.began = time.Now()
	c.x.out = borrowMedium()[:0]
	c.exchange()
	giveBack(c.x.out)
	c.x.out = nil
	if c.x.failed {
		c.listener.stats.errors.Add(1)
	}
	c.logHTTP()
	return c.x.keep && !c.watch.fired.Load()
}

// readHead waits for a request and reads its head. ok is false if the client has gone or said
// nothing in time; an error is to be answered.
func (c *httpConn) readHead(first bool) (ok bool, err error) {
	c.req.Reset()
	c.in.compact()
	c.in.release()
	if len(c.in.buffered()) == 0 && !c.await(first) {
		return false, nil
	}
	for late := false; ; late = true {
		n, err := c.req.Parse(c.in.buffered(), http1.Limits{})
		if err != nil {
			return false, err
		}
		if n > 0 {
			c.in.skip(n)
			return true, nil
		}
		if !late && !first {
			c.watch.phase(c.engine.cfg.Timeouts.Header)
		}
		if err := c.in.fill(); err != nil {
			if c.watch.fired.Load() && isTimeout(err) {
				return false, errLate
			}
			return false, nil
		}
	}
}

// await waits for the first byte of a request.
func (c *httpConn) await(first bool) bool {
	c.idle.Store(true)
	defer c.idle.Store(false)
	switch {
	case c.engine.draining.Load():
		c.watch.phase(c.engine.cfg.Timeouts.DrainIdle)
	case !first:
		c.watch.phase(c.engine.cfg.Timeouts.KeepAlive)
	}
	return c.in.fill() == nil
}

// lateError says that a head did not arrive in time.
type lateError struct{}

// Error implements error.
func (lateError) Error() string { return "request head did not arrive in time" }

var errLate error = lateError{}

// answerBroken answers what is no request and notes it.
func (c *httpConn) answerBroken(err error) {
	c.x.began = time.Now()
	c.listener.stats.requests.Add(1)
	c.listener.stats.errors.Add(1)
	r := refusal(err)
	if err == errLate {
		r = replyTimeout
		_ = c.in.conn.SetDeadline(time.Now().Add(c.engine.cfg.Timeouts.Linger))
	}
	c.engine.cfg.Log.V(1).Info("request refused", "listener", c.listener.name, "client", c.peerText, "cause", err.Error())
	c.x.status, c.x.stuck = r.status, true
	_, _ = c.in.conn.Write(r.append(nil, false, false))
	c.logHTTP()
}

// linger ends a connection on which the client may still be sending: it reads on for a moment,
// since closing at once would destroy an answer that is on its way (RFC 9112 section 9.6).
func (c *httpConn) linger() {
	_ = c.in.conn.SetDeadline(time.Now().Add(c.engine.cfg.Timeouts.Linger))
	if c.in.closeWrite() != nil {
		return
	}
	buf := borrowSmall()
	defer giveBack(buf)
	for range 1 << 10 {
		if _, err := c.in.conn.Read(buf); err != nil {
			return
		}
	}
}
