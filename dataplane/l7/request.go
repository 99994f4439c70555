package l7

import (
	"time"

	"github.com/truepacs/balancer/dataplane/http1"
)

// send writes the request to the server, with what of its body has come already, and starts the
// upload of the rest.
func (c *httpConn) send() error {
	x := &c.x
	up := x.seat.up
	x.out = c.appendRequest(x.out[:0])
	if c.req.Body.Kind == http1.NoBody {
		return c.write(up, x.out)
	}
	t := &c.up.transfer
	t.begin(&c.in, &up.stream, &c.watch, c.req.Body, c.req.Body.Kind == http1.Chunked, &c.upDec)
	var err error
	if x.out, err = t.inline(x.out); err != nil {
		return &clientError{err}
	}
	if err := c.write(up, x.out); err != nil || t.done {
		return err
	}
	c.startUpload()
	return nil
}

// write sends bytes to the server. On a fresh connection a failure is left to be found by
// reading: the server may have answered before it closed.
func (c *httpConn) write(up *upstream, p []byte) error {
	_, err := up.conn.Write(p)
	c.watch.touch()
	if up.reused {
		return err
	}
	return nil
}

// appendRequest appends the head for the server.
func (c *httpConn) appendRequest(dst []byte) []byte {
	r, s, route := &c.req, c.service, c.x.route
	dst = append(dst, r.Bytes(r.Method)...)
	dst = append(dst, ' ')
	dst = route.appendTarget(dst, r.Bytes(r.Path), c.x.matched)
	dst = append(dst, " HTTP/1.1\r\n"...)
	dst = c.appendFields(dst)
	for i := range route.set {
		dst = http1.AppendField(dst, route.set[i].Name, route.set[i].Value)
	}
	if s.forward {
		dst = c.appendForwarded(dst)
	}
	switch r.Body.Kind {
	case http1.Length:
		dst = http1.AppendLength(dst, r.Body.Length)
	case http1.Chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	default:
		if r.Find(http1.ContentLength) != nil {
			dst = http1.AppendLength(dst, 0)
		}
	}
	if c.wantsUpgrade() {
		c.x.upgrade = true
		dst = append(dst, "Connection: Upgrade\r\n"...)
		dst = c.appendUpgrade(dst, r.Fields(), r.Bytes)
	}
	return http1.AppendEnd(dst)
}

// appendFields appends the fields that travel from end to end.
func (c *httpConn) appendFields(dst []byte) []byte {
	r, route := &c.req, c.x.route
	changed := len(route.set)+len(route.remove) > 0
	hosted := false
	for _, f := range r.Fields() {
		hosted = hosted || f.ID == http1.Host
		name, value := r.Bytes(f.Name), r.Bytes(f.Value)
		switch {
		case f.Hop || changed && route.changes(name) || c.writesItself(f.ID):
		case f.ID == http1.Cookie:
			dst = c.appendCookies(dst, value)
		default:
			dst = http1.AppendField(dst, name, value)
		}
	}
	if !hosted && !route.changes([]byte("host")) {
		dst = http1.AppendField(dst, "Host", c.host())
	}
	return dst
}

// writesItself tells whether a field is not copied, because the proxy writes it or the server
// must not see it.
func (c *httpConn) writesItself(id http1.FieldID) bool {
	switch id {
	case http1.ContentLength:
		return true
	case http1.XForwardedFor, http1.XForwardedProto, http1.XForwardedHost:
		return c.service.forward
	case http1.Expect:
		return c.req.Minor == 0
	}
	return false
}

// host is the host that the client asked for: HTTP/1.0 clients may not say.
func (c *httpConn) host() string {
	if a := c.req.Bytes(c.req.Authority); len(a) > 0 {
		return string(a)
	}
	return c.service.address.String()
}

// appendCookies appends a Cookie field without our own cookie; none if nothing is left.
func (c *httpConn) appendCookies(dst, value []byte) []byte {
	own := c.service.cookie
	if own == nil || !own.has(value) {
		return http1.AppendField(dst, "Cookie", value)
	}
	start := len(dst)
	dst = append(dst, "Cookie: "...)
	field := len(dst)
	if dst = own.appendOthers(dst, value); len(dst) == field {
		return dst[:start]
	}
	return append(dst, "\r\n"...)
}

// appendForwarded appends X-Forwarded-For, -Proto and -Host. What a trusted peer sent is kept:
// its list is added to, its other two fields stay.
func (c *httpConn) appendForwarded(dst []byte) []byte {
	trusted := len(c.service.trusted) > 0 && c.service.trusts(c.peer)
	dst = append(dst, "X-Forwarded-For: "...)
	if trusted {
		for _, f := range c.req.Fields() {
			if v := c.req.Bytes(f.Value); f.ID == http1.XForwardedFor && len(v) > 0 {
				dst = append(append(dst, v...), ", "...)
			}
		}
	}
	dst = append(append(dst, c.peerText...), "\r\n"...)
	if v := c.req.Find(http1.XForwardedProto); trusted && v != nil {
		dst = http1.AppendField(dst, "X-Forwarded-Proto", v)
	} else {
		dst = http1.AppendField(dst, "X-Forwarded-Proto", c.service.proto())
	}
	if v := c.req.Find(http1.XForwardedHost); trusted && v != nil {
		return http1.AppendField(dst, "X-Forwarded-Host", v)
	}
	if a := c.req.Bytes(c.req.Authority); len(a) > 0 {
		return http1.AppendField(dst, "X-Forwarded-Host", a)
	}
	return http1.AppendField(dst, "X-Forwarded-Host", c.host())
}

// wantsUpgrade tells whether the client may switch protocols. HTTP/2 without TLS is not offered:
// through a proxy that does not speak it, it would hide requests (RFC 9113 section 3.1).
func (c *httpConn) wantsUpgrade() bool {
	r := &c.req
	if !r.Options.Upgrade || r.Minor == 0 || r.Body.Kind != http1.NoBody {
		return false
	}
	for _, f := range r.Fields() {
		if f.ID == http1.Upgrade && http1.HasElement(r.Bytes(f.Value), "h2c") {
			return false
		}
	}
	return true
}

func (c *httpConn) appendUpgrade(dst []byte, fields []http1.Field, bytes func(http1.Span) []byte) []byte {
	for _, f := range fields {
		if f.ID == http1.Upgrade {
			dst = http1.AppendField(dst, "Upgrade", bytes(f.Value))
		}
	}
	return dst
}

// extend gives a connection whose time was over a moment for the answer that says so.
func (c *httpConn) extend() {
	_ = c.in.conn.SetDeadline(time.Now().Add(c.engine.cfg.Timeouts.Linger))
}
