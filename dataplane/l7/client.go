package l7

import (
	"net/netip"
	"time"

	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/stream"
)

// client is what client connections that end here have in common.
type client struct {
	w        *worker
	listener *listener
	from     *eventloop.Listener
	service  *service
	stream   stream.Stream
	peer     netip.Addr
	peerText []byte
	text     [48]byte // holds peerText

	timer   eventloop.Timer
	limit   time.Duration // how long nothing may move
	touched time.Duration
	expired bool
}

var _ eventloop.Expirer = (*client)(nil)

// enter makes the client that of an accepted connection.
func (c *client) enter(w *worker, l *listener, from *eventloop.Listener, s *service, peer netip.Addr) {
	c.w, c.listener, c.from, c.service, c.peer = w, l, from, s, peer
	c.timer.To = c
	c.peerText = append(c.text[:0], "unknown"...)
	if peer.IsValid() {
		c.peerText = peer.AppendTo(c.text[:0])
	}
	c.phase(w.engine.cfg.Timeouts.Header)
}

// phase begins a time of waiting with a limit of its own.
func (c *client) phase(limit time.Duration) {
	c.limit, c.expired = limit, false
	c.touch()
	c.w.loop.SetTimer(&c.timer, limit)
}

// touch tells that something moved. The timer is not set anew: it looks when it runs out.
func (c *client) touch() { c.touched = c.w.loop.Now() }

// Expired is for the loop. The connection is told in its own turn, so that a mistake there ends it and not another.
func (c *client) Expired(*eventloop.Timer) {
	if left := c.touched + c.limit - c.w.loop.Now(); left > 0 {
		c.w.loop.SetTimer(&c.timer, left)
		return
	}
	c.expired = true
	c.stream.Again()
}

// late says, once, whether the time was over.
func (c *client) late() bool {
	was := c.expired
	c.expired = false
	return was
}

// renew takes the configuration that is in use now; false if the connection has it already. A listener that changed
// its application leaves open connections as they are.
func (c *client) renew() bool {
	s := c.listener.service.Load()
	if s == c.service || s.http != c.service.http {
		return false
	}
	c.service = s
	return true
}

// ending tells that clients should come again on a new connection.
func (c *client) ending() bool { return c.w.engine.draining.Load() || c.listener.closing.Load() }

// secure goes on with the TLS handshake; ErrAgain: it is not over. The certificates are those in use when the client's
// first byte comes.
func (c *client) secure() error {
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
func (c *client) refused(err error) {
	c.listener.count(c.w).handshakes.Add(1)
	c.w.engine.cfg.Log.V(1).Info("TLS handshake failed", "listener", c.listener.name, "client", string(c.peerText), "cause", err.Error())
}

// leave ends what every connection has; reset: the client sees an error and no proper end.
func (c *client) leave(reset bool) {
	c.w.loop.StopTimer(&c.timer)
	if reset {
		c.stream.Reset()
	} else {
		c.stream.Close()
	}
	c.listener.left(c.w, c.from)
}
