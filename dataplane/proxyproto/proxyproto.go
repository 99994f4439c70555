package proxyproto

import "net/netip"

// Version is a version of the protocol; 0: none.
type Version uint8

const (
	// V1 is the line of text (section 2.1).
	V1 Version = 1
	// V2 is the binary header (section 2.2).
	V2 Version = 2
)

// VersionOf returns the version called V1 or V2; the empty name is that of none.
func VersionOf(name string) (v Version, ok bool) {
	switch name {
	case "":
		return 0, true
	case "V1":
		return V1, true
	case "V2":
		return V2, true
	}
	return 0, false
}

const (
	// MaxSize is the most bytes in a header that Parse takes, those of version 2 included: what senders put into TLVs
	// is a few hundred.
	MaxSize = 4096
	// MaxAppended is the most bytes that Append appends: a line with two IPv6 addresses.
	MaxAppended = 104
)

// Header is what a header says.
type Header struct {
	// Version is that of the header.
	Version Version
	// Source is the client's address and port, Destination what it connected to. Both are the zero AddrPort if the
	// header tells no TCP connection over IP: a check of the sender's own (LOCAL), UNKNOWN, a unix socket, datagrams. The
	// addresses of the connection that the header came on count then. An IPv6 address may be a mapped IPv4 one.
	Source, Destination netip.AddrPort
}

// Error says why bytes are no header. Its text names none of them.
type Error struct{ reason string }

// Error implements error.
func (e *Error) Error() string { return e.reason }

var (
	errNoHeader = &Error{"it does not begin with a PROXY protocol header"}
	errLong     = &Error{"a line of PROXY protocol version 1 is longer than 107 bytes"}
	errLineEnd  = &Error{"a line of PROXY protocol version 1 has a CR or LF by itself"}
	errProtocol = &Error{"a line of PROXY protocol version 1 names a protocol other than TCP4, TCP6 and UNKNOWN"}
	errFields   = &Error{"a line of PROXY protocol version 1 has not two addresses and two ports with single spaces between them"}
	errAddress  = &Error{"a line of PROXY protocol version 1 has an address that is not one of its protocol"}
	errPort     = &Error{"a line of PROXY protocol version 1 has a port that is not a number from 0 to 65535"}
	errVersion  = &Error{"a binary PROXY protocol header has a version other than 2"}
	errCommand  = &Error{"a PROXY protocol header has a command other than LOCAL and PROXY"}
	errFamily   = &Error{"a PROXY protocol header has an address family or transport that is not specified"}
	errSize     = &Error{"a PROXY protocol header is larger than 4096 bytes"}
	errShort    = &Error{"a PROXY protocol header is shorter than its addresses"}
	errTLV      = &Error{"a PROXY protocol header has a TLV that goes beyond its end"}
	errSum      = &Error{"a PROXY protocol header has a checksum of a length other than 4, or two"}
	errCorrupt  = &Error{"a PROXY protocol header is not what its checksum was made of"}
)

// Parse reads the header that b begins with. n is its length; 0 without an error: more has to come, and b does not
// have to be kept as it is until then. The error is an *Error. Nothing is kept of b.
func Parse(b []byte) (h Header, n int, err error) {
	if len(b) == 0 {
		return Header{}, 0, nil
	}
	switch b[0] {
	case prefix[0]:
		return parseLine(b)
	case signature[0]:
		return parseBinary(b)
	}
	return Header{}, 0, errNoHeader
}

// begins says whether b is the beginning of whole, or whole that of b.
func begins(b []byte, whole string) bool {
	n := min(len(b), len(whole))
	return string(b[:n]) == whole[:n]
}

// Append appends a header for a connection over TCP; an invalid address: one without addresses, LOCAL or UNKNOWN. Where
// one address is IPv4 and the other IPv6, both are told as IPv6.
func (v Version) Append(dst []byte, source, destination netip.AddrPort) []byte {
	switch v {
	case V1:
		return appendLine(dst, source, destination)
	case V2:
		return appendBinary(dst, source, destination)
	}
	return dst
}

// is4 says whether a header for the two addresses is one of IPv4.
func is4(source, destination netip.AddrPort) bool {
	return source.Addr().Unmap().Is4() && destination.Addr().Unmap().Is4()
}
