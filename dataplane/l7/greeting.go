package l7

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/nonblock"
	"github.com/truepacs/balancer/dataplane/proxyproto"
)

// greeting is a connection from a peer that has to say first, by a PROXY protocol header, on behalf of whom it comes.
// The header is looked at where it is, in the socket, and taken out to its last byte: TLS, HTTP and the relay
// find the connection as if it had never been there.
type greeting struct {
	w        *worker
	listener *listener
	from     *eventloop.Listener
	peer     netip.AddrPort
	who      caller
	source   eventloop.Source
	timer    eventloop.Timer
	hup      bool // no more will come: looking does not show it
}

var (
	_ eventloop.Handler  = (*greeting)(nil)
	_ eventloop.Expirer  = (*greeting)(nil)
	_ eventloop.Acceptor = (*greeting)(nil)
)

var (
	errNoGreeting   = errors.New("the connection ended before its PROXY protocol header")
	errLateGreeting = errors.New("no whole PROXY protocol header came in time")
)

// greet waits for the header of a connection.
func (w *worker) greet(l *listener, from *eventloop.Listener, fd int, peer netip.AddrPort) {
	g := reuse(&w.spareGreetings)
	*g = greeting{w: w, listener: l, from: from, peer: peer, who: caller{addr: peer.Addr()}}
	g.timer.To = g
	_ = w.loop.Add(&g.source, fd, g, 0) // fails only if the kernel is to watch, which begins when nothing is there yet
	if g.read() {
		return
	}
	w.loop.SetTimer(&g.timer, w.engine.cfg.Timeouts.Header)
	if err := w.loop.Expect(&g.source, eventloop.Readable); err != nil {
		g.refuse(err)
	}
}

// Ready implements eventloop.Handler.
func (g *greeting) Ready(events eventloop.Events) {
	if events&eventloop.Closing != 0 {
		g.end()
		return
	}
	g.hup = events&(eventloop.Ended|eventloop.Gone|eventloop.Failed) != 0
	g.read()
}

// Expired is for the loop.
func (g *greeting) Expired(*eventloop.Timer) { g.refuse(errLateGreeting) }

// read looks at what has come; true: the greeting is over.
func (g *greeting) read() bool {
	b := g.w.loop.TakeBlock()
	defer g.w.loop.GiveBlock(b)
	came, err := nonblock.Recv(g.source.FD(), b[:proxyproto.MaxSize], unix.MSG_PEEK)
	switch {
	case err == unix.EAGAIN:
		return false
	case err != nil:
		g.refuse(err)
		return true
	}
	h, n, err := proxyproto.Parse(b[:came])
	switch {
	case err != nil:
		g.refuse(err)
	case n > 0:
		g.take(h, b[:n])
	case came == 0 || g.hup:
		g.refuse(errNoGreeting)
	default:
		return false
	}
	return true
}

// take takes the header out and goes on as with any other connection.
func (g *greeting) take(h proxyproto.Header, b []byte) {
	if n, err := nonblock.Recv(g.source.FD(), b, 0); err != nil || n != len(b) {
		g.refuse(errNoGreeting)
		return
	}
	if h.Source.IsValid() {
		g.who = caller{addr: h.Source.Addr().Unmap(), origin: g.w.newOrigin(h.Source, h.Destination)}
	}
	g.w.loop.StopTimer(&g.timer)
	g.w.loop.Pass(&g.source, g.from, g.peer, g)
}

// Accepted implements eventloop.Acceptor: the connection begins now.
func (g *greeting) Accepted(_ *eventloop.Loop, from *eventloop.Listener, fd int, _ netip.AddrPort) {
	w, l, who := g.w, g.listener, g.who
	*g = greeting{}
	spare(&w.spareGreetings, g)
	l.serve(w, from, fd, who)
}

// refuse closes a connection without a proper header.
func (g *greeting) refuse(cause error) {
	g.listener.count(g.w).greetings.Add(1)
	g.w.engine.cfg.Log.V(1).Info("connection closed: its peer is in acceptProxyProtocolFrom and has to begin with a PROXY protocol header",
		"listener", g.listener.name, "peer", g.peer.String(), "cause", cause.Error())
	g.end()
}

// end closes the connection.
func (g *greeting) end() {
	w := g.w
	w.loop.StopTimer(&g.timer)
	w.loop.Close(&g.source)
	g.listener.left(w, g.from)
	*g = greeting{}
	spare(&w.spareGreetings, g)
}
