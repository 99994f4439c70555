package l7

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // what RFC 6455 section 4.2.2 asks for
	"encoding/base64"
	"strconv"

	"github.com/truepacs/balancer/dataplane/http1"
	"github.com/truepacs/balancer/dataplane/http2"
)

// appendRequest appends a request as an HTTP/1.1 head. Package http2 has checked that it can be written as one.
func (s *h2stream) appendRequest(dst []byte, r *http2.Request, end bool) []byte {
	method, target := r.Method, r.Path
	switch {
	case r.Protocol == "websocket":
		s.sock, method = true, "GET"
	case r.Protocol != "" || method == "CONNECT":
		method, target = "CONNECT", r.Authority
	}
	dst = append(append(append(append(dst, method...), ' '), target...), " HTTP/1.1\r\n"...)
	if r.Authority != "" {
		dst = http1.AppendField(dst, "Host", r.Authority)
	}
	cookies := false
	for _, f := range r.Fields {
		switch f.Name {
		case "cookie":
			cookies = true
		case "te", "sec-websocket-key":
		default:
			dst = http1.AppendField(dst, f.Name, f.Value)
		}
	}
	if cookies {
		dst = append(r.AppendCookie(append(dst, "Cookie: "...)), "\r\n"...)
	}
	switch {
	case s.sock:
		dst = s.appendHandshake(dst)
	case !end && r.Length < 0 && method != "CONNECT":
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	return http1.AppendEnd(dst)
}

// appendHandshake appends what makes a request the opening handshake of RFC 6455 section 4.1.
func (s *h2stream) appendHandshake(dst []byte) []byte {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // does not fail
	base64.StdEncoding.Encode(s.key[:], nonce[:])
	dst = append(dst, "Connection: Upgrade\r\nUpgrade: websocket\r\n"...)
	return http1.AppendField(dst, "Sec-WebSocket-Key", s.key[:])
}

// agrees implements front. RFC 6455 section 4.1: the server has understood if it hashes the key.
func (s *h2stream) agrees(r *http1.Response) bool {
	if !s.sock || r.Status != 101 {
		return r.Status != 101 && (!s.sock || r.Status >= 300)
	}
	sum := sha1.Sum(append(s.key[:len(s.key):len(s.key)], "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...)) //nolint:gosec // as above
	for _, f := range r.Fields() {
		if http1.EqualFold(r.Bytes(f.Name), "sec-websocket-accept") {
			return string(r.Bytes(f.Value)) == base64.StdEncoding.EncodeToString(sum[:])
		}
	}
	return false
}

// appendTrailers appends trailers as field lines, but for those that a server must have seen first (see
// http1.ChunkDecoder).
func appendTrailers(dst []byte, fields []http2.Field) []byte {
	for _, f := range fields {
		if http1.IdentifyField([]byte(f.Name)).Trailing() {
			dst = http1.AppendField(dst, f.Name, f.Value)
		}
	}
	return dst
}

// appendHead implements front.
func (s *h2stream) appendHead(dst []byte, r *http1.Response, _ bool) []byte {
	if s.http2 == nil {
		return dst
	}
	w := s.http2.Fields()
	addPassing(w, r)
	if n := r.DeclaredLength(); n >= 0 && r.Status != 204 {
		addLength(w, n)
	}
	s.addCookie(w)
	s.respond(r.Status, w, r.Framing([]byte(s.x.method)).Kind == http1.NoBody)
	return dst
}

// respond sends the head of the answer; end: it is all.
func (s *h2stream) respond(status int, w *http2.FieldWriter, end bool) {
	s.http2.Respond(status, w, end)
	s.said, s.done = true, end
	s.parted()
}

// addCookie ties a browser that does not know its server to it.
func (s *h2stream) addCookie(w *http2.FieldWriter) {
	if own := s.x.route.backend.cookie; own != nil && !s.x.cookie {
		var room [512]byte
		addLines(w, own.appendSet(room[:0], s.x.seat.end.token))
	}
}

// appendInterim implements front.
func (s *h2stream) appendInterim(dst []byte, r *http1.Response) []byte {
	if s.http2 != nil {
		w := s.http2.Fields()
		addPassing(w, r)
		s.http2.Respond(r.Status, w, false)
	}
	return dst
}

// appendSwitch implements front: the WebSocket is open, RFC 8441 section 5.
func (s *h2stream) appendSwitch(dst []byte, r *http1.Response) []byte {
	if s.http2 == nil {
		return dst
	}
	w := s.http2.Fields()
	for _, f := range r.Fields() {
		if name := r.Bytes(f.Name); !f.Hop && f.ID != http1.ContentLength && !http1.EqualFold(name, "sec-websocket-accept") {
			w.Add(name, r.Bytes(f.Value))
		}
	}
	s.addCookie(w)
	s.respond(200, w, false)
	return dst
}

// appendReply implements front.
func (s *h2stream) appendReply(dst []byte, r *reply) []byte {
	if s.http2 == nil {
		return dst
	}
	w := s.http2.Fields()
	addLines(w, []byte(replyFields+r.field))
	addLength(w, int64(len(r.text)))
	head := s.x.method.isHead()
	if s.respond(r.status, w, head); head {
		return dst
	}
	return append(dst, r.text...)
}

// addPassing adds the fields of a response that travel from end to end.
func addPassing(w *http2.FieldWriter, r *http1.Response) {
	for _, f := range r.Fields() {
		if !f.Hop && f.ID != http1.ContentLength {
			w.Add(r.Bytes(f.Name), r.Bytes(f.Value))
		}
	}
}

func addLength(w *http2.FieldWriter, n int64) {
	var b [20]byte
	w.Add([]byte("content-length"), strconv.AppendInt(b[:0], n, 10))
}

// addLines adds field lines.
func addLines(w *http2.FieldWriter, lines []byte) {
	for len(lines) > 0 {
		line, rest, _ := bytes.Cut(lines, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		w.Add(name, bytes.TrimSpace(value))
		lines = rest
	}
}
