package l7

import (
	"net/netip"

	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/nonblock"
	"github.com/truepacs/balancer/dataplane/relay"
)

// pair is a TCP connection in clear with the one to its server, as the relay's owner. The client's bytes are the
// relay's; here the server is chosen, and what happened is counted.
type pair struct {
	w        *worker
	listener *listener
	from     *eventloop.Listener
	service  *service
	client   netip.Addr
	origin   *origin   // nil: the socket knows it
	end      *endpoint // nil: none
	server   string
	tried    []*endpoint
}

var _ relay.Owner = (*pair)(nil)

// join relays between a client and a server.
func (w *worker) join(l *listener, from *eventloop.Listener, s *service, fd int, who caller) {
	p := reuse(&w.sparePairs)
	*p = pair{w: w, listener: l, from: from, service: s, client: who.addr, origin: who.origin, tried: p.tried[:0]}
	settled := false
	defer func() {
		if !settled {
			p.mistaken(fd)
		}
	}()
	to, ok := p.next()
	settled = true
	if !ok {
		w.refuse(p, fd)
		return
	}
	w.relay.Join(fd, to, &w.settings, p)
}

// mistaken takes back what was counted when a mistake in the program kept a server from being chosen. The loop closes
// the connection.
func (p *pair) mistaken(fd int) {
	_ = nonblock.SetReset(fd)
	if p.end != nil {
		p.end.current.Add(-1)
	}
	count := p.listener.count(p.w)
	count.errors.Add(1)
	count.current.Add(-1)
	p.w.engine.open.leave()
}

// next takes a place at the server whose turn it is; false: none is left. The servers may have been replaced since the
// connection came.
func (p *pair) next() (relay.Target, bool) {
	end := p.service.fallback.backend.pick(p.tried)
	if end == nil && len(p.tried) == 0 {
		if now := p.listener.service.Load(); now != p.service && !now.http && now.tls == nil {
			p.service = now
			end = now.fallback.backend.pick(nil)
		}
	}
	p.end = end
	if end == nil {
		return relay.Target{}, false
	}
	end.current.Add(1)
	p.server = end.key.Server
	return p.w.target(end), true
}

// Unreachable implements relay.Owner.
func (p *pair) Unreachable(_ *relay.Pair, cause error) (relay.Target, bool) {
	end := p.end
	end.current.Add(-1)
	p.w.of(end.server).errors.Add(1)
	p.w.engine.cfg.Log.V(1).Info("server cannot be reached", "pool", end.key.Pool, "server", end.key.Server, "address", end.to.String(), "cause", cause.Error())
	p.tried = append(p.tried, end)
	return p.next()
}

// Reached implements relay.Owner.
func (p *pair) Reached(*relay.Pair) { p.w.of(p.end.server).dialled.Add(1) }

// Ended implements relay.Owner.
func (p *pair) Ended(_ *relay.Pair, end relay.End) {
	w, count := p.w, p.listener.count(p.w)
	count.bytesIn.Add(end.ToServer)
	count.bytesOut.Add(end.ToClient)
	if end.Reason != relay.Normal {
		count.errors.Add(1)
	}
	if p.end != nil {
		p.end.current.Add(-1)
		if byServer(end.Reason) {
			w.of(p.end.server).errors.Add(1)
		}
	} else {
		p.unserved(end.Cause)
	}
	var text [48]byte
	w.logConnection(record{
		listener: p.listener.name, client: p.client.AppendTo(text[:0]), took: end.Total, connect: end.Connect, code: end.Reason, server: p.server,
	}, end.ToServer, end.ToClient)
	w.forget(p.origin)
	p.listener.left(w, p.from)
	spare(&w.sparePairs, p)
}

// byServer says whether a connection ended for its server.
func byServer(r relay.Reason) bool { return r[0] == 'S' || r[0] == 's' }

func (p *pair) unserved(cause error) {
	if cause == nil {
		cause = errNoServer
	}
	p.w.engine.cfg.Log.Info("connection refused: no server could be reached", "listener", p.listener.name, "client", p.client.String(), "cause", cause.Error())
}

// refuse resets a connection that has no server.
func (w *worker) refuse(p *pair, fd int) {
	_ = nonblock.SetReset(fd)
	_ = nonblock.Close(fd)
	p.Ended(nil, relay.End{Reason: relay.ServerConnecting, Connect: -1})
}
