package l7

import (
	"bytes"
	"github.com/truepacs/balancer/dataplane/http1"
)

// appendRequest appends the head for the server.
func (x *exchange) appendRequest(dst []byte) []byte {
	r, s, route := x.req, x.client.service, x.route
	dst = append(dst, r.Bytes(r.Method)...)
	dst = append(dst, ' ')
	if r.OfServer() {
		dst = append(dst, '*')
	} else {
		dst = route.appendTarget(dst, r.Bytes(r.Path), x.matched)
	}
	dst = append(dst, " HTTP/1.1\r\n"...)
	dst = x.appendFields(dst)
	for i := range route.set {
		dst = http1.AppendField(dst, route.set[i].Name, route.set[i].Value)
	}
	if s.forward {
		dst = x.appendForwarded(dst)
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
	if x.wantsUpgrade() {
		x.upgrade = true
		dst = append(dst, "Connection: Upgrade\r\n"...)
		dst = appendUpgrade(dst, r.Fields(), r.Bytes)
	}
	return http1.AppendEnd(dst)
}

// appendFields appends the fields that travel from end to end.
func (x *exchange) appendFields(dst []byte) []byte {
	r, route := x.req, x.route
	changed := len(route.set)+len(route.remove) > 0
	hosted := false
	for _, f := range r.Fields() {
		hosted = hosted || f.ID == http1.Host
		name, value := r.Bytes(f.Name), r.Bytes(f.Value)
		switch {
		case f.Hop || changed && route.changes(name) || x.writesItself(f.ID):
		case f.ID == http1.Cookie:
			dst = x.appendCookies(dst, value)
		default:
			dst = http1.AppendField(dst, name, value)
		}
	}
	if !hosted && !route.changes([]byte("host")) {
		dst = http1.AppendField(dst, "Host", x.host())
	}
	return dst
}

// writesItself tells whether a field is not copied, because the proxy writes it or the server
// must not see it.
func (x *exchange) writesItself(id http1.FieldID) bool {
	switch id {
	case http1.ContentLength:
		return true
	case http1.XForwardedFor, http1.XForwardedProto, http1.XForwardedHost:
		return x.client.service.forward
	case http1.Expect:
		return x.req.Minor == 0
	}
	return false
}

// host is the host that the client asked for: HTTP/1.0 clients may not say.
func (x *exchange) host() string {
	if a := x.req.Bytes(x.req.Authority); len(a) > 0 {
		return string(a)
	}
	return x.client.service.address.String()
}

// appendCookies appends a Cookie field without our own cookie; none if nothing is left.
func (x *exchange) appendCookies(dst, value []byte) []byte {
	own := x.client.service.cookie
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
func (x *exchange) appendForwarded(dst []byte) []byte {
	s := x.client.service
	trusted := contains(s.trusted, x.client.peer)
	dst = append(dst, "X-Forwarded-For: "...)
	if trusted {
		for _, f := range x.req.Fields() {
			if v := x.req.Bytes(f.Value); f.ID == http1.XForwardedFor && len(v) > 0 {
				dst = append(append(dst, v...), ", "...)
			}
		}
	}
	dst = append(append(dst, x.client.peerText...), "\r\n"...)
	if v := x.req.Find(http1.XForwardedProto); trusted && v != nil {
		dst = http1.AppendField(dst, "X-Forwarded-Proto", v)
	} else {
		dst = http1.AppendField(dst, "X-Forwarded-Proto", s.proto())
	}
	if v := x.req.Find(http1.XForwardedHost); trusted && v != nil {
		return http1.AppendField(dst, "X-Forwarded-Host", v)
	}
	if a := x.req.Bytes(x.req.Authority); len(a) > 0 {
		return http1.AppendField(dst, "X-Forwarded-Host", a)
	}
	return http1.AppendField(dst, "X-Forwarded-Host", x.host())
}

// wantsUpgrade tells whether the client may switch protocols. HTTP/2 without TLS is not offered:
// through a proxy that does not speak it, it would hide requests (RFC 9113 section 3.1).
func (x *exchange) wantsUpgrade() bool {
	r := x.req
	if !r.Options.Upgrade || r.Minor == 0 || r.Body.Kind != http1.NoBody {
		return false
	}
	for _, f := range r.Fields() {
		if f.ID == http1.Upgrade && !offers(r.Bytes(f.Value)) {
			return false
		}
	}
	return true
}

// offers tells whether each protocol of an Upgrade field is a name with or without a version (RFC 9110 section 7.8) and none
// is h2c. What is no such list might be read as one that has it.
func offers(protocols []byte) bool {
	for protocols != nil {
		var protocol []byte
		protocol, protocols = http1.NextElement(protocols)
		name, version, versioned := bytes.Cut(protocol, []byte{'/'})
		if !http1.IsToken(name) || versioned && !http1.IsToken(version) || http1.EqualFold(name, "h2c") {
			return false
		}
	}
	return true
}

func appendUpgrade(dst []byte, fields []http1.Field, bytes func(http1.Span) []byte) []byte {
	for _, f := range fields {
		if f.ID == http1.Upgrade {
			dst = http1.AppendField(dst, "Upgrade", bytes(f.Value))
		}
	}
	return dst
}
