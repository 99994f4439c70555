package l7

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/relay"
)

// listener is a listening socket with what it serves.
type listener struct {
	engine  *Engine
	name    string
	socket  *eventloop.Listener
	service atomic.Pointer[service]
	closing atomic.Bool
	cells   [shards]listenerCounters
}

var _ eventloop.Acceptor = (*listener)(nil)

// keepalive finds peers that are gone without a word, as package net does by default. Connections inherit it from
// the listening socket.
var keepalive = relay.Socket{NoDelay: true, KeepAliveIdle: 15 * time.Second, KeepAliveInterval: 15 * time.Second, KeepAliveProbes: 9}

// listen begins to accept; the socket stays the caller's.
func (e *Engine) listen(s *service, socket net.Listener) (*listener, error) {
	l := &listener{engine: e, name: s.name}
	l.service.Store(s)
	conn, ok := socket.(syscall.Conn)
	if !ok {
		return nil, refuse(s.name, "its socket is a %T, which has no descriptor: pass a TCP socket", socket)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w", s.name, err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		if failed = keepalive.Apply(int(fd)); failed == nil {
			l.socket, failed = e.group.Listen(int(fd), l)
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("listener %s: %w", s.name, err)
	}
	return l, nil
}

// stop gives the socket up; connections go on.
func (l *listener) stop() {
	l.closing.Store(true)
	l.socket.Close()
	<-l.socket.Ended()
}

// Accepted implements eventloop.Acceptor.
func (l *listener) Accepted(loop *eventloop.Loop, from *eventloop.Listener, fd int, peer netip.AddrPort) {
	w := l.engine.workers[loop.Index()]
	s := l.service.Load()
	cell := l.count(w)
	cell.total.Add(1)
	cell.current.Add(1)
	l.engine.open.enter()
	if contains(s.greeted, peer.Addr()) {
		w.greet(l, from, fd, peer)
		return
	}
	l.serve(w, from, fd, caller{addr: peer.Addr()})
}

// serve begins what the listener speaks.
func (l *listener) serve(w *worker, from *eventloop.Listener, fd int, who caller) {
	switch s := l.service.Load(); {
	case s.http:
		w.acceptHTTP(l, from, s, fd, who)
	case s.tls != nil:
		w.acceptTLS(l, from, s, fd, who)
	default:
		w.join(l, from, s, fd, who)
	}
}

// left counts a connection that has ended.
func (l *listener) left(w *worker, from *eventloop.Listener) {
	l.count(w).current.Add(-1)
	from.Done(w.loop)
	l.engine.open.leave()
}

// count is where a worker counts.
func (l *listener) count(w *worker) *listenerCounters { return &l.cells[w.loop.Index()%shards] }
