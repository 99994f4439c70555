package l7

import (
	"errors"

	"github.com/truepacs/balancer/dataplane/http1"
)

// exchange serves the request whose head was read: it leaves in c.x what happened.
func (c *httpConn) exchange() {
	x := &c.x
	x.keep = c.req.KeepAlive()
	x.method = methodOf(c.req.Bytes(c.req.Method))
	for {
		if refused := c.admit(); refused != nil {
			c.answer(*refused)
			return
		}
		x.route, x.matched = c.service.match(c.req.Bytes(c.req.Path))
		err := c.roundTrip()
		if err == nil {
			break
		}
		if err == errNoServer && c.renew() {
			continue // the servers may have been replaced since the request came
		}
		c.answerFailure(err)
		return
	}
	if c.response().Status == 101 {
		c.switchProtocols()
		return
	}
	c.relay()
}

// ending tells that clients should come again on a new connection.
func (c *client) ending() bool { return c.engine.draining.Load() || c.listener.closing.Load() }

// methodOf returns a method as a constant where it matters, so that nothing is allocated.
func methodOf(b []byte) method {
	if string(b) == "HEAD" {
		return "HEAD"
	}
	return "OTHER"
}

// admit refuses requests that no server should see.
func (c *httpConn) admit() *reply {
	if c.req.Form == http1.AuthorityForm {
		return &replyNoConnect
	}
	if len(c.service.routes) > 0 && climbs(c.req.Bytes(c.req.Path)) {
		return &replyBadPath
	}
	return nil
}

// roundTrip sends the request to a server and reads the head of its final response, or of the
// one that switches protocols.
//
// A connection kept from before may be closed by the server at the very moment it is used. Then
// a request without body whose method is idempotent is sent once more on a fresh connection, if
// not a byte of an answer has come (RFC 9110 section 9.2.2, RFC 9112 section 9.3.1).
func (c *httpConn) roundTrip() error {
	wanted := c.wantedEndpoint()
	seat, err := c.occupy(c.x.route.backend, wanted, false)
	for again := false; ; again = true {
		if err != nil {
			return err
		}
		c.x.seat, c.x.server = seat, seat.end.key.Server
		c.x.cookie = wanted != nil && seat.end == wanted
		seat.end.requests.Add(1)
		if err = c.send(); err == nil {
			err = c.receive()
		}
		if err == nil {
			return nil
		}
		_ = c.finishUpload(true) // err says more
		mayRepeat := seat.up.reused && !again && len(seat.up.buffered()) == 0 && !c.x.head && !c.watch.fired.Load() &&
			c.req.Body.Kind == http1.NoBody && c.req.Idempotent() && isConnectionError(err)
		end := seat.end
		c.leave(&c.x.seat, false)
		if !mayRepeat {
			end.blame(err)
			return err
		}
		seat, err = c.occupy(c.x.route.backend, end, true)
	}
}

// wantedEndpoint returns the healthy server that the persistence cookie names, nil without one.
func (c *httpConn) wantedEndpoint() *endpoint {
	b := c.x.route.backend
	if b.cookie == nil {
		return nil
	}
	for _, f := range c.req.Fields() {
		if f.ID != http1.Cookie {
			continue
		}
		if t, ok := b.cookie.find(c.req.Bytes(f.Value)); ok {
			if e := b.byToken[t]; e != nil && e.healthy.Load() {
				return e
			}
		}
	}
	return nil
}

// clientError says that the client has failed while its request was served.
type clientError struct{ err error }

// Error implements error.
func (e *clientError) Error() string { return "client: " + e.err.Error() }

// Unwrap returns the cause.
func (e *clientError) Unwrap() error { return e.err }

// blame counts a failed exchange, unless it was the client that failed.
func (s *server) blame(err error) {
	var client *clientError
	if !errors.As(err, &client) {
		s.errors.Add(1)
	}
}

// isConnectionError tells failures of a connection from answers that cannot be read.
func isConnectionError(err error) bool {
	var malformed *http1.Error
	var client *clientError
	return !errors.As(err, &malformed) && !errors.As(err, &client)
}

// answerFailure answers a request that got no response from a server.
func (c *httpConn) answerFailure(err error) {
	c.engine.cfg.Log.V(1).Info("request failed", "listener", c.listener.name, "client", c.peerText, "cause", err.Error())
	c.x.failed = true
	var client *clientError
	var connect *connectError
	var malformed *http1.Error
	switch {
	case errors.As(err, &client) && errors.As(err, &malformed) && !c.x.head:
		c.answer(replyBadRequest)
	case errors.As(err, &client), c.x.head, c.engine.dialling.Err() != nil:
		c.x.keep = false
	case errors.Is(err, errNoServer):
		c.answer(replyNoServer)
	case errors.As(err, &connect) && !connect.timeout():
		c.answer(replyNoServer)
	case errors.As(err, &connect), isTimeout(err):
		c.answer(replySlowServer)
	default:
		c.answer(replyBadGateway)
	}
}

// answer writes an answer of the proxy's own. The connection goes on only if the next request
// starts where this head ended.
func (c *httpConn) answer(r reply) {
	x := &c.x
	x.failed, x.status = true, r.status
	x.stuck = c.req.Body.Kind != http1.NoBody || r.status == 400
	x.keep = x.keep && !x.stuck && !c.ending() && c.req.Minor == 1 && !c.watch.fired.Load()
	if c.watch.fired.Load() {
		c.extend()
	}
	x.out = r.append(x.out[:0], x.method.isHead(), x.keep)
	if _, err := c.in.conn.Write(x.out); err != nil {
		x.keep = false
	}
}
