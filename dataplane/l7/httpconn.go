package l7

import (
	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/http1"
	"github.com/truepacs/balancer/dataplane/nonblock"
	"github.com/truepacs/balancer/dataplane/relay"
	"github.com/truepacs/balancer/dataplane/stream"
)

// httpState is what an HTTP/1 connection is doing.
type httpState int

const (
	shaking      httpState = iota // TLS is being agreed on
	reading                       // a request head is due
	multiplexing                  // HTTP/2 has taken over
	serving                       // a request is served
	lingering                     // the last answer is on its way, what still comes is swallowed
	gone
)

// requestsPerTurn is how many requests one connection may have served before the others have their turn: those behind
// each other that the proxy answers by itself could go on for long.
const requestsPerTurn = 32

// lingerReads bounds how much a connection that is being closed may still send.
const lingerReads = 1 << 10

// httpConn is a client connection that speaks HTTP: version 1, unless h2 has taken over.
type httpConn struct {
	conn
	*turn     // nil while no request has begun
	h2        *h2conn
	state     httpState
	used      bool // it has served a request
	begun     bool // the first byte of a head has come
	in        input
	swallowed int

	next, prev *httpConn // among those of the worker
}

// turn is what a connection needs for a request: it is borrowed with the first byte and given back after the answer, so
// that idle connections are small.
type turn struct {
	req  http1.Request
	dec  http1.ChunkDecoder
	body body
	wire wire
	x    exchange
}

var (
	_ front        = (*httpConn)(nil)
	_ stream.Owner = (*httpConn)(nil)
)

// acceptHTTP takes a connection.
func (w *worker) acceptHTTP(l *listener, from *eventloop.Listener, s *service, fd int, who caller) {
	c := reuse(&w.spareHTTP)
	c.enter(w, l, from, s, who)
	c.used, c.begun, c.swallowed, c.state = false, false, 0, reading
	if c.next = w.http; c.next != nil {
		c.next.prev = c
	}
	w.http = c
	if err := c.stream.Accept(w.loop, fd, c); err != nil {
		_ = nonblock.Close(fd)
		c.end(false)
		return
	}
	if s.tls != nil {
		c.state = shaking
		if err := c.stream.Await(); err != nil {
			c.end(false)
		}
		return
	}
	c.await()
	c.run()
}

// idle says whether the connection waits for the first byte of a request.
func (c *httpConn) idle() bool { return c.state == reading && !c.begun }

// Ready implements stream.Owner.
func (c *httpConn) Ready(_ *stream.Stream, events eventloop.Events) {
	switch {
	case events&eventloop.Closing != 0:
		c.kill()
	case events&eventloop.Failed != 0 && c.state == serving && c.x.stage < tunnelling && !c.x.sending:
		c.x.lostClient()
		c.run()
	default:
		c.run()
	}
}

// run implements holder: it goes on until nothing can.
func (c *httpConn) run() {
	for served := 0; ; {
		switch c.state {
		case shaking:
			if !c.shake() {
				return
			}
		case reading:
			if !c.read() {
				return
			}
		case serving:
			if c.x.run(); c.x.stage != over {
				return
			}
			c.finish()
			if served++; served >= requestsPerTurn && c.state == reading {
				c.stream.Again()
				return
			}
		case multiplexing:
			c.h2.run()
			return
		case lingering:
			c.swallow()
			return
		case gone:
			return
		}
	}
}

// shake goes on with the TLS handshake; true: it is over.
func (c *httpConn) shake() bool {
	err := c.secure()
	if err == stream.ErrAgain && c.late() {
		err = errLate
	}
	switch err {
	case nil:
		if c.stream.Protocol() == "h2" {
			c.multiplex()
			return true
		}
		c.state = reading
		c.await()
		return true
	case stream.ErrAgain:
	default:
		c.refused(err)
		c.end(false)
	}
	return false
}

// await begins to wait for a request. The time of a first one counts from the start of the connection.
func (c *httpConn) await() {
	t := &c.w.engine.cfg.Timeouts
	c.begun = len(c.in.buffered()) > 0
	switch {
	case c.begun && c.used:
		c.phase(t.Header)
	case c.begun:
	case c.w.engine.draining.Load():
		c.phase(t.DrainIdle)
	case c.used:
		c.phase(t.KeepAlive)
	}
}

// read reads a request head. true: there is one, or the connection has ended.
func (c *httpConn) read() bool {
	for {
		if len(c.in.buffered()) > 0 {
			if c.turn == nil {
				c.turn = reuse(&c.w.spareTurns)
				c.req.Reset()
			}
			n, err := c.req.Parse(c.in.buffered(), http1.Limits{})
			if err != nil {
				c.answerBroken(err)
				return true
			}
			if n > 0 {
				c.in.skip(n)
				c.serve()
				return true
			}
			if !c.begun && c.used {
				c.phase(c.w.engine.cfg.Timeouts.Header)
			}
			c.begun = true
		}
		err := c.in.fill(c.w.loop, &c.stream)
		switch {
		case err == nil:
		case err != stream.ErrAgain:
			c.end(false)
			return true
		case !c.late():
			return false
		case c.begun:
			c.answerBroken(errLate)
			return true
		default:
			c.end(false)
			return true
		}
	}
}

// serve begins to serve the request that was read.
func (c *httpConn) serve() {
	c.state, c.used = serving, true
	c.listener.count(c.w).requests.Add(1)
	c.x.start(&c.client, c, &c.req)
	if c.x.keep { // it will have to be watched anyway, so it may be now: a client that breaks off is noticed
		_ = c.stream.Watch()
	}
}

// answerBroken answers what is no request.
func (c *httpConn) answerBroken(err error) {
	r, code := refusal(err), relay.Reason{'P', 'R'}
	if err == errLate {
		r, code = replyTimeout, relay.Reason{'c', 'R'}
	}
	c.w.engine.cfg.Log.V(1).Info("request refused", "listener", c.listener.name, "client", string(c.peerText), "cause", err.Error())
	c.state = serving
	c.listener.count(c.w).requests.Add(1)
	c.x.refuse(&c.client, c, &c.req, &r, code)
}

// finish ends a request and goes on with the next, or ends the connection.
func (c *httpConn) finish() {
	x := &c.x
	x.account()
	switch {
	case x.keep:
		c.state = reading
		c.in.release(c.w.loop)
		c.rest()
		c.await()
	case x.stuck && !x.torn:
		c.linger()
	default:
		c.end(x.torn)
	}
}

// rest gives back what a request needed.
func (c *httpConn) rest() {
	if c.turn != nil {
		spare(&c.w.spareTurns, c.turn)
		c.turn = nil
	}
}

// linger ends a connection on which the client may still be sending: it reads on for a moment, since closing at once
// would destroy an answer that is on its way (RFC 9112 section 9.6).
func (c *httpConn) linger() {
	c.state = lingering
	c.rest()
	c.phase(c.w.engine.cfg.Timeouts.Linger)
	c.in.drop(c.w.loop)
	if c.stream.CloseWrite() != nil {
		c.end(false)
	}
}

func (c *httpConn) swallow() {
	if c.late() {
		c.end(false)
		return
	}
	if err := c.stream.Flush(); err != nil && err != stream.ErrAgain {
		c.end(false)
		return
	}
	b := c.w.loop.TakeBlock()
	defer c.w.loop.GiveBlock(b)
	for {
		_, err := c.stream.Read(b[:])
		if err == stream.ErrAgain {
			return
		}
		if c.swallowed++; err != nil || c.swallowed > lingerReads {
			c.end(false)
			return
		}
	}
}

// kill implements holder.
func (c *httpConn) kill() {
	if c.state == gone {
		return
	}
	if !c.w.loop.Closing() {
		c.listener.count(c.w).errors.Add(1) // a mistake in the program
	}
	switch c.state {
	case serving:
		c.x.discard()
		c.x.account()
		c.end(c.x.endless)
	case multiplexing:
		c.h2.discard()
		fallthrough
	default:
		c.end(false)
	}
}

// end closes the connection.
func (c *httpConn) end(reset bool) {
	c.state, c.h2 = gone, nil
	c.in.drop(c.w.loop)
	c.rest()
	if c.next != nil {
		c.next.prev = c.prev
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		c.w.http = c.next
	}
	c.next, c.prev = nil, nil
	c.leave(reset)
	spare(&c.w.spareHTTP, c)
}

// upload implements front.
func (c *httpConn) upload(f http1.Framing) source {
	c.body = newBody(c.w.loop, &c.stream, &c.in, f, &c.dec)
	return &c.body
}

// download implements front.
func (c *httpConn) download(chunked bool) sink {
	c.wire = wire{to: &c.stream, chunked: chunked}
	return &c.wire
}

// delivery implements front.
func (c *httpConn) delivery() delivery {
	if c.req.Minor == 0 {
		return byClosing
	}
	return inChunks
}

// agrees implements front: the client judges.
func (c *httpConn) agrees(*http1.Response) bool { return true }

// released implements front.
func (c *httpConn) released() { c.in.release(c.w.loop) }
