package l7

import (
	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/http1"
	"github.com/truepacs/balancer/dataplane/nonblock"
	"github.com/truepacs/balancer/dataplane/relay"
	"github.com/truepacs/balancer/dataplane/stream"
)

// tlsConn is a client connection whose TLS ends here and whose bytes are passed through.
type tlsConn struct {
	conn
	stage    stage // resting: the handshake is not over
	in       input
	seat     seat
	server   string
	up, down flow
	upBody   body
	downBody body
	upWire   wire
	downWire wire
	tunnel   tunnel
}

var (
	_ seeker       = (*tlsConn)(nil)
	_ holder       = (*tlsConn)(nil)
	_ stream.Owner = (*tlsConn)(nil)
)

// acceptTLS takes a connection.
func (w *worker) acceptTLS(l *listener, from *eventloop.Listener, s *service, fd int, who caller) {
	c := &tlsConn{}
	c.enter(w, l, from, s, who)
	if err := c.stream.Accept(w.loop, fd, c); err != nil {
		_ = nonblock.Close(fd)
		c.end(false)
		return
	}
	if err := c.stream.Await(); err != nil {
		c.end(false)
	}
}

// Ready implements stream.Owner.
func (c *tlsConn) Ready(_ *stream.Stream, events eventloop.Events) {
	if events&eventloop.Closing != 0 {
		c.kill()
		return
	}
	c.run()
}

// run implements holder.
func (c *tlsConn) run() {
	late := c.late()
	for {
		before := c.stage
		switch before {
		case resting:
			c.shake(late)
		case seeking:
			if c.seat.making {
				c.seat.made(late)
			}
		case tunnelling:
			c.pass(late)
		}
		if c.stage == before {
			return
		}
		late = false
	}
}

// shake goes on with the handshake and then looks for a server.
func (c *tlsConn) shake(late bool) {
	err := c.secure()
	if err == stream.ErrAgain && late {
		err = errLate
	}
	switch err {
	case nil:
		c.phase(c.w.engine.cfg.Timeouts.Transfer)
		c.renew()
		c.stage = seeking
		c.seat = seat{client: &c.client, seeker: c, holder: c, fresh: true, began: c.w.loop.Now()}
		c.seat.seek(c.service.fallback.backend, nil)
	case stream.ErrAgain:
	default:
		c.refused(err)
		c.end(false)
	}
}

// unserved implements seeker.
func (c *tlsConn) unserved(err error) {
	if err == errNoServer && c.renew() {
		c.seat.seek(c.service.fallback.backend, nil)
		return
	}
	c.w.engine.cfg.Log.Info("connection refused: no server could be reached", "listener", c.listener.name, "client", string(c.peerText), "cause", err.Error())
	_, code := verdict(err)
	c.close(code)
}

// reached implements seeker.
func (c *tlsConn) reached() {
	l, up := c.w.loop, c.seat.up
	c.stage, c.server = tunnelling, c.seat.end.key.Server
	c.phase(c.w.engine.cfg.Timeouts.Transfer)
	raw := http1.Framing{Kind: http1.UntilClose}
	c.upBody, c.downBody = newBody(l, &c.stream, &c.in, raw, nil), newBody(l, &up.stream, &up.in, raw, nil)
	c.upWire, c.downWire = wire{to: &up.stream}, wire{to: &c.stream}
	c.up.begin(&c.upBody, &c.upWire)
	c.down.begin(&c.downBody, &c.downWire)
	c.tunnel = tunnel{up: &c.up, down: &c.down}
}

func (c *tlsConn) pass(late bool) {
	if done, code := c.tunnel.run(&c.client, late); done {
		c.close(code)
	}
}

// kill implements holder.
func (c *tlsConn) kill() {
	switch c.stage {
	case over:
	case resting:
		c.end(true)
	case seeking:
		c.close(relay.KilledConnecting)
	default:
		c.close(relay.KilledData)
	}
}

// close ends a connection whose handshake was over.
func (c *tlsConn) close(code relay.Reason) {
	if c.stage == over {
		return
	}
	count := c.listener.count(c.w)
	count.bytesIn.Add(c.up.moved)
	count.bytesOut.Add(c.down.moved)
	if code != relay.Normal {
		count.errors.Add(1)
		if c.seat.end != nil && byServer(code) {
			c.w.of(c.seat.end.server).errors.Add(1)
		}
	}
	c.w.logConnection(record{
		listener: c.listener.name, client: c.peerText, took: c.w.loop.Now() - c.seat.began, connect: c.seat.took, code: code, server: c.server,
	}, c.up.moved, c.down.moved)
	c.up.drop(c.w.loop)
	c.down.drop(c.w.loop)
	if code == relay.Normal {
		c.seat.leave(false)
	} else {
		c.seat.abort()
	}
	c.end(code != relay.Normal)
}

// end closes the client's connection.
func (c *tlsConn) end(reset bool) {
	c.stage = over
	c.in.drop(c.w.loop)
	c.leave(reset)
}
