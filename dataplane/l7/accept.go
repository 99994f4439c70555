package l7

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// listener is a listening socket with what it serves.
type listener struct {
	name    string
	socket  net.Listener
	service atomic.Pointer[service]
	tls     *tls.Config
	closing atomic.Bool
	stats   listenerCounters
}

func (e *Engine) listen(s *service, socket net.Listener) *listener {
	l := &listener{name: s.name, socket: socket}
	l.service.Store(s)
	l.tls = l.serverTLS()
	e.accepting.Go(func() { e.accept(l) })
	return l
}

// stop closes the socket; connections go on.
func (l *listener) stop() {
	if !l.closing.Swap(true) {
		_ = l.socket.Close()
	}
}

// acceptPause is how long accept waits at most after an error such as too many open files.
const acceptPause = time.Second

func (e *Engine) accept(l *listener) {
	pause := 5 * time.Millisecond
	for {
		conn, err := l.socket.Accept()
		if err == nil {
			pause = 5 * time.Millisecond
			e.serve(l, conn)
			continue
		}
		if l.closing.Load() || errors.Is(err, net.ErrClosed) {
			return
		}
		e.cfg.Log.Error(err, "no connection can be accepted, trying again", "listener", l.name, "after", pause.String())
		time.Sleep(pause)
		pause = min(2*pause, acceptPause)
	}
}

// serve starts a connection in a goroutine of its own.
func (e *Engine) serve(l *listener, conn net.Conn) {
	s := l.service.Load()
	l.stats.total.Add(1)
	if s.tls != nil {
		conn = tls.Server(conn, l.tls)
	}
	run := newSession(s.http)
	c := run.base()
	c.engine, c.listener, c.service = e, l, s
	c.setPeer(conn.RemoteAddr())
	c.in.attach(conn)
	if !e.open.add(run) {
		_ = conn.Close()
		return
	}
	l.stats.current.Add(1)
	go func() {
		defer e.open.remove(run)
		defer l.stats.current.Add(-1)
		defer e.survive(c)
		run.run()
	}()
}

// survive keeps a mistake in the program that one connection met from ending all others.
func (e *Engine) survive(c *client) {
	if cause := recover(); cause != nil {
		c.listener.stats.errors.Add(1)
		e.cfg.Log.Error(fmt.Errorf("panic: %v", cause), "one connection was cut by a mistake in this program, the others go on; please report it",
			"listener", c.listener.name, "stack", string(debug.Stack()))
	}
}

func newSession(http bool) session {
	if http {
		return &httpConn{}
	}
	return &tcpConn{}
}

// client is what HTTP and TCP connections have in common.
type client struct {
	engine   *Engine
	listener *listener
	service  *service
	in       stream
	watch    watch
	peer     netip.Addr
	peerText string
}

func (c *client) setPeer(addr net.Addr) {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		c.peer = tcp.AddrPort().Addr().Unmap()
	}
	c.peerText = "unknown"
	if c.peer.IsValid() {
		c.peerText = c.peer.String()
	}
}

// begin starts the watch and ends the TLS handshake; false if it failed.
func (c *client) begin() bool {
	c.watch.start(c.in.conn, c.engine.cfg.Timeouts.Header)
	t, ok := c.in.conn.(*tls.Conn)
	if !ok {
		return true
	}
	if err := t.Handshake(); err != nil {
		c.listener.stats.handshakes.Add(1)
		c.engine.cfg.Log.V(1).Info("TLS handshake failed", "listener", c.listener.name, "client", c.peerText, "cause", err.Error())
		return false
	}
	return true
}

func (c *client) base() *client { return c }

// renew takes the configuration that is in use now; false if the connection has it already. A
// listener that changed its application leaves open connections as they are.
func (c *client) renew() bool {
	s := c.listener.service.Load()
	if s == c.service || s.http != c.service.http {
		return false
	}
	c.service = s
	return true
}

func (c *client) cut() { c.watch.cut() }
