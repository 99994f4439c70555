package http1

// FieldID names the header fields that a proxy acts on, so that it compares numbers and not
// names. OtherField is any other.
type FieldID uint8

// Fields known by number.
const (
	OtherField FieldID = iota
	Host
	ContentLength
	TransferEncoding
	Connection
	KeepAliveField
	ProxyConnection
	TE
	Trailer
	Upgrade
	Expect
	Cookie
	SetCookie
	Authorization
	ContentType
	Date
	HTTP2Settings
	XForwardedFor
	XForwardedProto
	XForwardedHost
)

var fieldNames = [...]string{
	Host: "host", ContentLength: "content-length", TransferEncoding: "transfer-encoding",
	Connection: "connection", KeepAliveField: "keep-alive", ProxyConnection: "proxy-connection",
	TE: "te", Trailer: "trailer", Upgrade: "upgrade", Expect: "expect", Cookie: "cookie",
	SetCookie: "set-cookie", Authorization: "authorization", ContentType: "content-type",
	Date: "date", HTTP2Settings: "http2-settings", XForwardedFor: "x-forwarded-for",
	XForwardedProto: "x-forwarded-proto", XForwardedHost: "x-forwarded-host",
}

// fieldsByLength lists the known fields by the length of their names.
var fieldsByLength = func() (t [20][]FieldID) {
	for id, name := range fieldNames {
		if name != "" {
			t[len(name)] = append(t[len(name)], FieldID(id))
		}
	}
	return t
}()

// IdentifyField returns the number of a field name, compared without case.
func IdentifyField(name []byte) FieldID {
	if len(name) >= len(fieldsByLength) {
		return OtherField
	}
	for _, id := range fieldsByLength[len(name)] {
		if EqualFold(name, fieldNames[id]) {
			return id
		}
	}
	return OtherField
}

// Span is a part of a head, as offsets from its first byte: [From, To).
type Span struct{ From, To int32 }

func span(from, to int) Span { return Span{int32(from), int32(to)} }

// Empty tells whether the span holds nothing.
func (s Span) Empty() bool { return s.From == s.To }

// Field is one header field of a head.
type Field struct {
	// Name and Value are where they stand; Value has no white space around it.
	Name, Value Span
	// ID is the number of a known name.
	ID FieldID
	// Hop says that the field concerns this connection only and must not be forwarded
	// (RFC 9110 section 7.6.1). A proxy writes Connection, Transfer-Encoding and Upgrade anew.
	Hop bool
}

// hopByHop tells whether a field of this number is never forwarded as it is.
func (id FieldID) hopByHop() bool {
	switch id {
	case Connection, KeepAliveField, ProxyConnection, TE, TransferEncoding, Upgrade, HTTP2Settings:
		return true
	}
	return false
}

// nominable tells whether the Connection field may make a field hop-by-hop. RFC 9110 section
// 7.6.1 forbids senders to nominate fields meant for the recipient; obeying such a sender would
// let a client strip its own identity, credentials or framing on the way to the server. So only
// fields this package does not know can be nominated.
func (id FieldID) nominable() bool { return id == OtherField }
