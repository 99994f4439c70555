package http2

import (
	"strings"

	"golang.org/x/net/http2/hpack"
)

// Pseudo-fields that were seen.
const (
	seenMethod = 1 << iota
	seenScheme
	seenAuthority
	seenPath
	seenProtocol
)

// section collects a field section as it is decoded and holds it against RFC 9113 section 8.2
// and 8.3. The first fault is kept; decoding goes on after it, because the table of HPACK is
// shared by all streams.
type section struct {
	Request
	decoder  *hpack.Decoder
	limit    int
	size     int
	trailers bool
	seen     uint8
	regular  bool // a field that is no pseudo-field came
	hosted   bool
	host     string
	fault    string
}

func (s *section) init(limit int) {
	s.limit = limit
	s.decoder = hpack.NewDecoder(tableSize, s.emit)
}

// reset makes s ready for the next section; the memory of the list of fields is kept.
func (s *section) reset(trailers bool) {
	fields := s.Fields
	clear(fields)
	if cap(fields) > 64 {
		fields = nil
	}
	*s = section{decoder: s.decoder, limit: s.limit, trailers: trailers}
	s.Fields, s.Length = fields[:0], -1
	s.decoder.SetEmitEnabled(true)
}

// decode takes a whole field block. An error says that the table cannot be trusted any more.
func (s *section) decode(block []byte) *Error {
	_, err := s.decoder.Write(block)
	if err == nil {
		err = s.decoder.Close()
	}
	if err != nil {
		return &Error{CompressionError, "field block cannot be decoded"}
	}
	return nil
}

func (s *section) emit(f hpack.HeaderField) {
	if s.size += int(f.Size()); s.size > s.limit {
		s.TooLarge = true
		s.decoder.SetEmitEnabled(false)
		return
	}
	if strings.HasPrefix(f.Name, ":") {
		s.fault = s.pseudo(f.Name, f.Value)
	} else {
		s.fault = s.field(f.Name, f.Value)
	}
	if s.fault != "" {
		s.decoder.SetEmitEnabled(false)
	}
}

// pseudo takes a pseudo-field, RFC 9113 section 8.3; the result is what is wrong.
func (s *section) pseudo(name, value string) string {
	bit, to := s.place(name)
	switch {
	case s.trailers:
		return "pseudo-field in the trailers"
	case bit == 0:
		return "unknown pseudo-field"
	case s.regular:
		return "pseudo-field after other fields"
	case s.seen&bit != 0:
		return "repeated pseudo-field"
	}
	s.seen |= bit
	*to = value
	return ""
}

func (s *section) place(name string) (uint8, *string) {
	switch name {
	case ":method":
		return seenMethod, &s.Method
	case ":scheme":
		return seenScheme, &s.Scheme
	case ":authority":
		return seenAuthority, &s.Authority
	case ":path":
		return seenPath, &s.Path
	case ":protocol":
		return seenProtocol, &s.Protocol
	}
	return 0, nil
}

// field takes any other field, RFC 9113 section 8.2.
func (s *section) field(name, value string) string {
	s.regular = true
	switch {
	case name == "" || !all(name, className):
		return "octet not allowed in a field name"
	case !validValue(value):
		return "octet not allowed in a field value"
	}
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		return "connection-specific field"
	case "te":
		if !strings.EqualFold(value, "trailers") {
			return "te other than trailers"
		}
	case "host":
		if !s.trailers {
			return s.hostField(value)
		}
	case "content-length":
		if !s.trailers {
			return s.lengthField(value)
		}
	}
	s.Fields = append(s.Fields, Field{name, value})
	return ""
}

func (s *section) hostField(value string) string {
	if s.hosted {
		return "more than one host field"
	}
	s.hosted, s.host = true, value
	return ""
}

func (s *section) lengthField(value string) string {
	n, ok := parseDigits(value)
	switch {
	case !ok:
		return "content-length is not a number"
	case s.Length >= 0 && s.Length != n:
		return "content-length twice with different values"
	case s.Length < 0:
		s.Length = n
		s.Fields = append(s.Fields, Field{"content-length", value})
	}
	return ""
}
