package l7

import (
	"github.com/truepacs/balancer/dataplane/http1"
	"github.com/truepacs/balancer/dataplane/relay"
)

// deliver begins to pass the final response on and decides what becomes of the client's connection.
func (x *exchange) deliver() {
	x.stage = relaying
	up, c := x.seat.up, x.client
	r := &up.resp
	in := r.Framing([]byte(x.method))
	lengthless := in.Kind == http1.Chunked || in.Kind == http1.UntilClose
	chunked := lengthless && x.front.delivery() == inChunks
	x.endless = lengthless && x.front.delivery() == byClosing
	x.serverOK = r.KeepAlive() && in.Kind != http1.UntilClose && !r.Misframed()
	x.unsent = x.sending && (x.req.Expects && !x.going || !x.serverOK)
	x.keep = x.keep && !x.endless && !x.unsent && !c.ending()
	x.status = r.Status
	x.body = newBody(c.w.loop, &up.stream, &up.in, in, &up.dec)
	out := x.front.appendHead(x.down.buffer(c.w.loop), r, chunked)
	x.front.released()
	from := source(&x.body)
	if in.Kind == http1.NoBody {
		from = nil
	}
	x.down.begin(from, x.front.download(chunked))
	if from != nil {
		most := max(pieceSize-len(out), 0)
		more, n, done, err := x.body.inline(out, most, chunked)
		up.in.release(c.w.loop)
		x.down.hold(more)
		x.down.took(n, done)
		if err != nil {
			_ = x.down.flush(c)
			x.tear(&sourceError{err})
			return
		}
	} else {
		x.down.hold(out)
	}
	x.leaveEarly()
}

// leaveEarly gives the server up once nothing is to be got from it or sent to it any more: it can serve the next request while
// the client reads.
func (x *exchange) leaveEarly() {
	if x.seat.end != nil && x.down.taken && x.up.over && !x.sending && !x.cut {
		x.leaveServer()
	}
}

// leaveServer gives the server's connection up. It is kept if the server keeps it, the request was sent in full and
// nothing came that was not asked for.
func (x *exchange) leaveServer() {
	if x.seat.end == nil {
		return
	}
	sent := x.up.over && !x.cut
	x.seat.leave(x.serverOK && sent && len(x.seat.up.in.buffered()) == 0)
}

// relay carries the response, and what is left of the request.
func (x *exchange) relay(late bool) {
	if late {
		x.tear(x.blame())
		return
	}
	if !x.answered && x.seat.end != nil && !x.send() {
		return
	}
	if err := x.down.pump(x.client); err != nil {
		x.tear(err)
		return
	}
	x.leaveEarly()
	if x.down.over && (!x.sending || x.unsent) {
		x.conclude()
	}
}

// blame says who kept a response from going on.
func (x *exchange) blame() error {
	if x.down.holds() || x.answered || x.down.taken {
		x.code = relay.ClientTimeout
		return &sinkError{errLate}
	}
	x.code = relay.ServerTimeout
	return &sourceError{errLate}
}

// conclude ends an exchange whose response was passed on.
func (x *exchange) conclude() {
	if x.sending {
		x.abandon()
	}
	x.leaveServer()
	x.stage = over
}

// tear ends an exchange whose response cannot be passed on in full.
func (x *exchange) tear(err error) {
	c := x.client
	x.keep, x.failed, x.stage = false, true, over
	code := relay.ClientData
	if isSource(err) {
		code = relay.ServerData
		if x.seat.end != nil {
			c.w.of(x.seat.end.server).errors.Add(1)
			c.w.engine.cfg.Log.V(1).Info("response was cut short", "listener", c.listener.name, "server", x.server, "cause", err.Error())
		}
		x.torn = x.endless // a proper close would look like the end of the body
	}
	if x.code == relay.Normal {
		x.code = code
	}
	if x.sending {
		x.stuck, x.cut, x.sending = true, true, false
	}
	x.up.drop(c.w.loop)
	x.down.drop(c.w.loop)
	x.seat.leave(false)
}

// switchProtocols passes the 101 on and makes a tunnel of the two connections (RFC 9110 section 7.8), with what each
// side has sent already.
func (x *exchange) switchProtocols() {
	c, up := x.client, x.seat.up
	x.stage, x.status, x.keep = tunnelling, up.resp.Status, false
	x.down.hold(x.front.appendSwitch(x.down.buffer(c.w.loop), &up.resp))
	x.front.released()
	x.body = newBody(c.w.loop, &up.stream, &up.in, http1.Framing{Kind: http1.UntilClose}, nil)
	x.up.begin(x.front.upload(http1.Framing{Kind: http1.UntilClose}), &x.wire)
	x.down.begin(&x.body, x.front.download(false))
	x.tunnel = tunnel{up: &x.up, down: &x.down}
}

// pass carries an upgraded connection.
func (x *exchange) pass(late bool) {
	done, code := x.tunnel.run(x.client, late)
	if !done {
		return
	}
	x.stage, x.code = over, code
	if x.failed = code != relay.Normal; x.failed {
		x.torn = true
		if byServer(code) {
			x.client.w.of(x.seat.end.server).errors.Add(1)
		}
		x.up.drop(x.client.w.loop)
		x.down.drop(x.client.w.loop)
		x.seat.abort()
		return
	}
	x.seat.leave(false)
}

// discard ends an exchange at once; nothing more is told to anybody.
func (x *exchange) discard() {
	l := x.client.w.loop
	x.up.drop(l)
	x.down.drop(l)
	x.seat.abort()
	x.keep, x.failed, x.stage = false, true, over
	if x.code == relay.Normal {
		x.code = relay.KilledData
	}
}
