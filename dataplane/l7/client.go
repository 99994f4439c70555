package l7

import (
	"net/netip"
	"time"

	"github.com/truepacs/balancer/dataplane/eventloop"
)

// client is who a request or a connection is served for.
type client struct {
	w        *worker
	listener *listener
	service  *service
	peer     netip.Addr
	peerText []byte
	conn     *conn // on which it came

	waker   interface{ Again() } // has the owner run, in a turn of its own
	timer   eventloop.Timer
	limit   time.Duration // how long nothing may move
	touched time.Duration
	expired bool
}

var _ eventloop.Expirer = (*client)(nil)

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
	c.waker.Again()
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
