package http1

import "bytes"

// Request is the head of a request. The zero value is ready for Parse.
type Request struct {
	head
	// Method and Target are the parts of the request line.
	Method, Target Span
	// Path is the part of Target that an origin server is asked for: absolute path and query,
	// "*" for the server as a whole. It is empty for CONNECT and for an absolute-form target
	// without path, whose path is "/" (RFC 9112 section 3.2.1) unless OfServer says otherwise.
	Path Span
	// Authority is host and port as the client named them: of an absolute-form or CONNECT
	// target, else of Host. Empty if an HTTP/1.0 client named none.
	Authority Span
	// Form is the form of Target.
	Form Form
	// Minor is the minor version: 0 or 1.
	Minor int
	// Body is how the body is framed: NoBody, Length or Chunked.
	Body Framing
	// Options are what the Connection fields ask for.
	Options Options
	// Expects is set if an HTTP/1.1 client waits for 100 (Continue), RFC 9110 section 10.1.1.
	Expects bool
}

// Form is the form of a request target, RFC 9112 section 3.2.
type Form uint8

// Forms of a request target.
const (
	OriginForm Form = iota
	AbsoluteForm
	AuthorityForm
	AsteriskForm
)

// Reset makes r ready for the next message; its memory is kept.
func (r *Request) Reset() {
	h := r.head
	h.reset()
	*r = Request{head: h}
}

// Parse reads the head at the start of buf. It returns its length once it is complete, 0 while
// more bytes are needed: call again with the same bytes and more, at any address. The error is
// an *Error. After an error or a complete head call Reset first.
//
// Spans are offsets into the buf of the last call, which must stay unchanged while they are used.
func (r *Request) Parse(buf []byte, l Limits) (int, error) {
	n, err := r.head.parse(buf, l.withDefaults(), r.requestLine)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, nil
	}
	if err := r.finish(); err != nil {
		return 0, err
	}
	return n, nil
}

// requestLine reads method SP request-target SP HTTP-version, RFC 9112 section 3.
func (r *Request) requestLine(from, to int) *Error {
	line := r.buf[from:to]
	first := bytes.IndexByte(line, ' ')
	last := bytes.LastIndexByte(line, ' ')
	if first <= 0 || first == last {
		return bad(from, "request line is not method, target and version")
	}
	if !all(line[:first], classToken) {
		return bad(from, "octet not allowed in the method")
	}
	minor, err := version(line[last+1:], from+last+1)
	if err != nil {
		return err
	}
	r.Minor = minor
	r.Method = span(from, from+first)
	r.Target = span(from+first+1, from+last)
	return r.target()
}

// version reads HTTP-version, RFC 9112 section 2.3: HTTP/1.0 or HTTP/1.1.
func version(b []byte, at int) (int, *Error) {
	switch {
	case string(b) == "HTTP/1.1":
		return 1, nil
	case string(b) == "HTTP/1.0":
		return 0, nil
	case len(b) == 8 && string(b[:5]) == "HTTP/" && b[6] == '.' && all(b[5:6], classDigit) && all(b[7:], classDigit):
		return 0, &Error{Status: 505, Reason: "HTTP version is not 1.0 or 1.1", Offset: at}
	}
	return 0, bad(at, "malformed HTTP version")
}

// finish reads what the fields say together, once the head is complete.
func (r *Request) finish() *Error {
	if err := r.host(); err != nil {
		return err
	}
	d, err := r.framingFields(r.Minor)
	if err != nil {
		return err
	}
	switch {
	case r.Form == AuthorityForm && (d.chunked || d.length >= 0):
		return bad(0, "CONNECT with a body")
	case d.chunked:
		r.Body.Kind = Chunked
	case d.length > 0:
		r.Body = Framing{Kind: Length, Length: d.length}
	}
	r.Options = r.connection()
	r.Expects = r.Minor == 1 && EqualFold(r.Find(Expect), "100-continue")
	return nil
}

// KeepAlive tells whether the client allows another request on this connection, RFC 9112
// section 9.3.
func (r *Request) KeepAlive() bool {
	return !r.Options.Close && (r.Minor == 1 || r.Options.KeepAlive)
}

// OfServer tells whether the request is about the server as a whole: OPTIONS *, also written as the server's URI with neither
// path nor query. Its target for an origin server is "*" (RFC 9112 section 3.2.4).
func (r *Request) OfServer() bool {
	return r.Form == AsteriskForm || r.Form == AbsoluteForm && r.Path.Empty() && string(r.Bytes(r.Method)) == "OPTIONS"
}

// Idempotent tells whether the method may be sent again after a failure, RFC 9110 section 9.2.2.
func (r *Request) Idempotent() bool {
	switch string(r.Bytes(r.Method)) {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}
