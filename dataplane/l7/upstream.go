package l7

import (
	"sync/atomic"

	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/http1"
	"github.com/truepacs/balancer/dataplane/nonblock"
	"github.com/truepacs/balancer/dataplane/stream"
)

// holder is who uses a connection to a server.
type holder interface {
	// run goes on with everything that can go on.
	run()
	// kill ends it now.
	kill()
}

// upstream is a connection to a server: in use, or kept for the next request and then watched, so that one that the
// server has ended is gone before anybody takes it.
type upstream struct {
	w      *worker
	end    *endpoint
	stream stream.Stream
	in     input
	resp   http1.Response
	dec    http1.ChunkDecoder
	holder holder  // nil: unused
	origin *origin // whose requests alone it may carry; nil: anybody's
	reused bool

	timer      eventloop.Timer
	next, prev *upstream // among the unused ones
}

var (
	_ stream.Owner      = (*upstream)(nil)
	_ eventloop.Expirer = (*upstream)(nil)
)

// connect begins to connect to a server.
func (w *worker) connect(end *endpoint, h holder) (*upstream, error) {
	fd, err := w.target(end).Dial(keepalive)
	if err != nil {
		return nil, err
	}
	up := reuse(&w.spareUpstreams)
	up.w, up.end, up.holder, up.reused = w, end, h, false
	up.timer.To = up
	if err := up.stream.Connecting(w.loop, fd, up); err != nil {
		_ = nonblock.Close(fd)
		return nil, err
	}
	return up, nil
}

// Ready implements stream.Owner.
func (up *upstream) Ready(s *stream.Stream, events eventloop.Events) {
	switch {
	case up.holder != nil && events&eventloop.Closing != 0:
		up.holder.kill()
	case up.holder != nil:
		up.holder.run()
	case events&^eventloop.Writable != 0 && !s.Quiet():
		up.discard()
	}
}

// Expired is for the loop: it was unused for too long.
func (up *upstream) Expired(*eventloop.Timer) { up.discard() }

// discard ends an unused connection.
func (up *upstream) discard() {
	up.end.idle[up.w.loop.Index()].remove(up)
	up.close(false)
}

// close ends the connection, which is not among the unused ones.
func (up *upstream) close(reset bool) {
	up.w.loop.StopTimer(&up.timer)
	if reset {
		up.stream.Reset()
	} else {
		up.stream.Close()
	}
	up.in.drop(up.w.loop)
	up.holder, up.end, up.origin = nil, nil, nil
	spare(&up.w.spareUpstreams, up)
}

// keep has the connection wait for the next request, or closes it if its server is gone from the configuration.
func (up *upstream) keep() {
	pool := &up.end.idle[up.w.loop.Index()]
	if pool.retired || up.w.loop.Closing() || !up.stream.Lasts() {
		up.close(false)
		return
	}
	up.holder, up.reused = nil, true
	up.in.drop(up.w.loop)
	up.w.loop.SetTimer(&up.timer, up.w.engine.cfg.Timeouts.ServerIdle)
	pool.put(up)
}

// unused takes a connection to a server that is kept for an origin, if that is not nil, else for anybody; nil: there is
// none. careful: one that broke off a moment ago must not be taken, since the request could not be repeated.
func (w *worker) unused(end *endpoint, o *origin, careful bool, h holder) *upstream {
	pool := &end.idle[w.loop.Index()]
	for up := pool.last(end, o); up != nil; up = pool.last(end, o) {
		pool.remove(up)
		if careful && !up.stream.Quiet() {
			up.close(false)
			continue
		}
		w.loop.StopTimer(&up.timer)
		up.holder = h
		return up
	}
	return nil
}

// idle are the unused connections to an endpoint on one loop, the one used last first: the others grow old and are
// closed before the server closes them.
type idle struct {
	head    *upstream
	count   atomic.Int64 // for Stats
	retired bool
}

// last returns the one used last that an origin may use.
func (p *idle) last(end *endpoint, o *origin) *upstream {
	if o != nil {
		return o.find(end)
	}
	return p.head
}

func (p *idle) put(up *upstream) {
	if up.origin != nil {
		up.origin.keep(up)
	}
	up.prev, up.next = nil, p.head
	if p.head != nil {
		p.head.prev = up
	}
	p.head = up
	p.count.Add(1)
}

func (p *idle) remove(up *upstream) {
	if up.origin != nil {
		up.origin.drop(up)
	}
	if up.next != nil {
		up.next.prev = up.prev
	}
	if up.prev != nil {
		up.prev.next = up.next
	} else {
		p.head = up.next
	}
	up.next, up.prev = nil, nil
	p.count.Add(-1)
}

// retire closes all and has none kept from now on.
func (p *idle) retire() {
	p.retired = true
	for p.head != nil {
		p.head.discard()
	}
}
