package http2

// Request is the header section of a request, RFC 9113 section 8.3.1. It has passed every check
// of RFC 9113 sections 8.1 to 8.3, so it can be written as HTTP/1.1 as it is.
type Request struct {
	// Method, Scheme, Authority and Path are the pseudo-fields. Scheme is http or https. Authority
	// is that of the host field if there is no :authority. Path begins with / or is * for OPTIONS.
	// CONNECT has neither Scheme nor Path, unless there is a Protocol.
	Method, Scheme, Authority, Path string
	// Protocol is what an extended CONNECT asks for, RFC 8441; empty for all others.
	Protocol string
	// Fields are the other fields in their order, names in lower case. The host field is not among
	// them, and a content-length only once. Cookies come as the client split them.
	Fields []Field
	// Length is what content-length says, -1 without one. Content has that length, or the stream
	// is reset before its end.
	Length int64
	// TooLarge says that there was more than Config.MaxFields allows: what came until then is here,
	// maybe without some pseudo-fields. Answer 431.
	TooLarge bool
}

// Field is one field line.
type Field struct{ Name, Value string }

// AppendCookie appends the values of all cookie fields as one, RFC 9113 section 8.2.3.
func (r *Request) AppendCookie(b []byte) []byte {
	first := true
	for _, f := range r.Fields {
		if f.Name != "cookie" {
			continue
		}
		if !first {
			b = append(b, "; "...)
		}
		first = false
		b = append(b, f.Value...)
	}
	return b
}
