package http2

// FieldWriter encodes fields, RFC 7541, without a dynamic table: the fields of responses differ
// too much to be worth one. Those of secrets are marked as never indexed. The zero value is ready.
type FieldWriter struct{ buf []byte }

// Reset makes w empty.
func (w *FieldWriter) Reset() {
	if cap(w.buf) > 4*idleBuffer {
		w.buf = nil
	}
	w.buf = w.buf[:0]
}

const (
	tableEmpty     = 0x20 // dynamic table size update to 0, RFC 7541 section 6.3
	neverIndexed   = 0x10 // RFC 7541 section 6.2.3
	statusIndex    = 8    // :status 200 in the static table
	lastFullStatus = 14   // :status 500
)

// Add appends a field. The name is brought into lower case; both must have passed the checks of
// RFC 9110 section 5. Connection-specific fields are left out, RFC 9113 section 8.2.2.
func (w *FieldWriter) Add(name, value []byte) {
	var short [staticNameMax]byte
	low := short[:0]
	if len(name) <= staticNameMax {
		for _, c := range name {
			low = append(low, lower(c))
		}
	}
	var kind byte
	switch string(low) {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		return
	case "set-cookie", "cookie", "authorization", "proxy-authorization":
		kind = neverIndexed
	}
	if index, ok := staticNames[string(low)]; ok {
		w.buf = appendInteger(w.buf, kind, 4, index)
	} else {
		w.buf = append(w.buf, kind)
		w.buf = appendInteger(w.buf, 0, 7, len(name))
		for _, c := range name {
			w.buf = append(w.buf, lower(c))
		}
	}
	w.buf = appendInteger(w.buf, 0, 7, len(value))
	w.buf = append(w.buf, value...)
}

// appendStatus encodes :status.
func appendStatus(b []byte, status int) []byte {
	for i, full := range [...]int{200, 204, 206, 304, 400, 404, 500} {
		if status == full {
			return append(b, 0x80|byte(statusIndex+i))
		}
	}
	return append(b, statusIndex, 3, '0'+byte(status/100), '0'+byte(status/10%10), '0'+byte(status%10))
}

// appendInteger encodes n with a prefix of so many bits, RFC 7541 section 5.1.
func appendInteger(b []byte, kind byte, bits uint, n int) []byte {
	most := 1<<bits - 1
	if n < most {
		return append(b, kind|byte(n))
	}
	b = append(b, kind|byte(most))
	for n -= most; n >= 0x80; n >>= 7 {
		b = append(b, 0x80|byte(n))
	}
	return append(b, byte(n))
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// staticNameMax is the length of the longest name in the static table.
const staticNameMax = len("access-control-allow-origin")

// staticNames are the names of the static table that a field can have, RFC 7541 appendix A.
var staticNames = func() map[string]int {
	names := [...]string{
		"accept-charset", "accept-encoding", "accept-language", "accept-ranges", "accept",
		"access-control-allow-origin", "age", "allow", "authorization", "cache-control",
		"content-disposition", "content-encoding", "content-language", "content-length",
		"content-location", "content-range", "content-type", "cookie", "date", "etag", "expect",
		"expires", "from", "host", "if-match", "if-modified-since", "if-none-match", "if-range",
		"if-unmodified-since", "last-modified", "link", "location", "max-forwards",
		"proxy-authenticate", "proxy-authorization", "range", "referer", "refresh", "retry-after",
		"server", "set-cookie", "strict-transport-security", "transfer-encoding", "user-agent",
		"vary", "via", "www-authenticate",
	}
	m := make(map[string]int, len(names))
	for i, name := range names {
		m[name] = i + 15
	}
	return m
}()
