package http1

// Response is the head of a response. The zero value is ready for Parse.
type Response struct {
	head
	// Status is the status code, 100 to 999.
	Status int
	// Reason is the reason phrase; may be empty.
	Reason Span
	// Minor is the minor version: 0 or 1.
	Minor int
	// Options are what the Connection fields say.
	Options Options

	declared declared
}

// Reset makes r ready for the next message; its memory is kept.
func (r *Response) Reset() {
	h := r.head
	h.reset()
	*r = Response{head: h}
}

// Parse reads the head at the start of buf, in the same way as Request.Parse.
func (r *Response) Parse(buf []byte, l Limits) (int, error) {
	n, err := r.head.parse(buf, l.withDefaults(), r.statusLine)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, nil
	}
	if r.declared, err = r.framingFields(r.Minor); err != nil {
		return 0, err
	}
	r.Options = r.connection()
	return n, nil
}

// statusLine reads HTTP-version SP status-code SP [ reason-phrase ], RFC 9112 section 4. The
// second space may be missing, as some servers have it.
func (r *Response) statusLine(from, to int) *Error {
	line := r.buf[from:to]
	if len(line) < 12 || line[8] != ' ' {
		return bad(from, "malformed status line")
	}
	minor, err := version(line[:8], from)
	if err != nil {
		return err
	}
	status, ok := parseDigits(line[9:12])
	if !ok || status < 100 || len(line) > 12 && line[12] != ' ' {
		return bad(from+9, "malformed status code")
	}
	r.Minor, r.Status = minor, int(status)
	r.Reason = span(to, to)
	if len(line) > 13 {
		r.Reason = span(from+13, to)
	}
	if !all(r.Bytes(r.Reason), classValue) {
		return bad(from+13, "control octet in the reason phrase")
	}
	return nil
}

// Framing decides how the body of this response is delimited, RFC 9112 section 6.3. method is
// the method of the request it answers.
func (r *Response) Framing(method []byte) Framing {
	switch {
	case r.Status == 101, r.Status/100 == 2 && string(method) == "CONNECT":
		return Framing{Kind: Tunnel}
	case r.bodiless(method):
		return Framing{}
	case r.declared.chunked:
		return Framing{Kind: Chunked}
	case r.declared.length == 0:
		return Framing{}
	case r.declared.length > 0:
		return Framing{Kind: Length, Length: r.declared.length}
	}
	return Framing{Kind: UntilClose}
}

func (r *Response) bodiless(method []byte) bool {
	return r.Status < 200 || r.Status == 204 || r.Status == 304 || string(method) == "HEAD"
}

// DeclaredLength returns the value of Content-Length, -1 without one. In answers to HEAD and
// with status 304 it is the length of a body that is not sent (RFC 9110 section 8.6).
func (r *Response) DeclaredLength() int64 { return r.declared.length }

// Misframed tells that a response that can have no body announces one. Its connection must not
// be used again: a careless server may send that body.
func (r *Response) Misframed() bool {
	return (r.Status < 200 || r.Status == 204) && (r.declared.chunked || r.declared.length > 0)
}

// KeepAlive tells whether the server allows another request on this connection, RFC 9112
// section 9.3; what ends with the connection must be asked of Framing.
func (r *Response) KeepAlive() bool {
	return !r.Options.Close && (r.Minor == 1 || r.Options.KeepAlive)
}
