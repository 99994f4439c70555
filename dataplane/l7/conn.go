package l7

import (
	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/stream"
)

// conn is what client connections that end here have in common.
type conn struct {
	client
	from   *eventloop.Listener
	stream stream.Stream
	origin *origin  // nil: none yet
	text   [48]byte // holds peerText
}

// enter makes the conn that of an accepted connection.
func (c *conn) enter(w *worker, l *listener, from *eventloop.Listener, s *service, who caller) {
	c.w, c.listener, c.from, c.service, c.peer, c.origin = w, l, from, s, who.addr, who.origin
	c.timer.To, c.waker, c.conn = &c.client, &c.stream, c
	c.peerText = append(c.text[:0], "unknown"...)
	if c.peer.IsValid() {
		c.peerText = c.peer.AppendTo(c.text[:0])
	}
	c.phase(w.engine.cfg.Timeouts.Header)
}

// secure goes on with the TLS handshake; ErrAgain: it is not over. The certificates are those in use when the client's
// first byte comes.
func (c *conn) secure() error {
	if c.stream.Clear() {
		if c.stream.Waits() {
			return stream.ErrAgain
		}
		s := c.listener.service.Load()
		if s.tls == nil {
			return errNoTLS
		}
		c.stream.Secure(c.w.secure, s.tls)
	}
	return c.stream.Handshake()
}

// refused counts a failed handshake.
func (c *conn) refused(err error) {
	c.listener.count(c.w).handshakes.Add(1)
	c.w.engine.cfg.Log.V(1).Info("TLS handshake failed", "listener", c.listener.name, "client", string(c.peerText), "cause", err.Error())
}

// leave ends what every connection has; reset: the client sees an error and no proper end.
func (c *conn) leave(reset bool) {
	c.w.loop.StopTimer(&c.timer)
	if reset {
		c.stream.Reset()
	} else {
		c.stream.Close()
	}
	c.w.forget(c.origin)
	c.origin = nil
	c.listener.left(c.w, c.from)
}
