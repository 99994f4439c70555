package l7

import (
	"github.com/truepacs/balancer/dataplane/http1"
	"github.com/truepacs/balancer/dataplane/relay"
)

// lose ends an exchange that got no answer from its server, or sends the request once more.
//
// A connection kept from before may be closed by the server at the very moment it is used. Then a request without body
// whose method is idempotent is sent again on a fresh connection, if not a byte of an answer has come (RFC 9110
// section 9.2.2, RFC 9112 section 9.3.1).
func (x *exchange) lose(err error) {
	up, end := x.seat.up, x.seat.end
	repeat := x.repeatable() && len(up.in.buffered()) == 0 && !x.interim && !isMalformed(err) && !isClient(err) && err != errLate
	x.up.drop(x.client.w.loop)
	x.cut = x.cut || x.sending
	x.sending = false
	x.seat.leave(false)
	if repeat {
		x.again, x.stage = true, seeking
		x.seat.fresh = true
		x.seat.seek(x.route.backend, end)
		return
	}
	if !isClient(err) {
		x.client.w.of(end.server).errors.Add(1)
	}
	x.fail(err)
}

// lostClient ends an exchange whose client is gone.
func (x *exchange) lostClient() {
	switch x.stage {
	case resting, over:
		return
	case seeking:
		x.code = relay.ClientConnecting
	case relaying:
		x.code = relay.ClientData
	default:
		x.code = relay.Reason{'C', 'H'}
	}
	x.tear(&sinkError{errGone})
}

// fail answers a request that got no response from a server.
func (x *exchange) fail(err error) {
	c := x.client
	c.w.engine.cfg.Log.V(1).Info("request failed", "listener", c.listener.name, "client", string(c.peerText), "cause", err.Error())
	r, code := verdict(err)
	if x.code == relay.Normal {
		x.code = code
	}
	x.failed = true
	if err == errLate {
		x.keep = false
		c.phase(c.w.engine.cfg.Timeouts.Linger)
	}
	if r == nil || len(x.down.held) > 0 {
		x.keep, x.stage = false, over
		x.down.drop(c.w.loop)
		return
	}
	x.answer(r)
}

// answer writes an answer of the proxy's own. The connection goes on only if the next request starts where this
// head ended.
func (x *exchange) answer(r *reply) {
	c := x.client
	x.failed, x.answered, x.status = true, true, r.status
	x.stuck = x.stuck || x.req.Body.Kind != http1.NoBody || r.status == 400 ||
		x.req.Form == http1.AuthorityForm // what follows may be of the tunnel
	x.keep = x.keep && !x.stuck && !c.ending() && x.req.Minor == 1
	x.down.begin(nil, x.front.download(false))
	x.down.hold(x.front.appendReply(x.down.buffer(c.w.loop), r))
	if x.stuck {
		c.phase(c.w.engine.cfg.Timeouts.Linger)
	}
	x.stage = relaying
}
