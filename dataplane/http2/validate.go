package http2

import "strings"

// Methods with rules of their own, RFC 9113 sections 8.3.1 and 8.5.
const (
	connect = "CONNECT"
	options = "OPTIONS"
)

// check holds a complete request against RFC 9113 section 8.3.1 and 8.5 and RFC 8441; the result
// is what is wrong with it.
func (s *section) check(end, extended bool) string {
	switch {
	case s.fault != "":
		return s.fault
	case s.TooLarge:
		return ""
	case s.Method == "" || !all(s.Method, classToken):
		return "missing or malformed :method"
	case end && s.Length > 0:
		return "content-length without content"
	case s.Method == connect && s.seen&seenProtocol == 0:
		return s.checkConnect()
	case s.seen&seenProtocol != 0:
		if fault := s.checkExtended(extended); fault != "" {
			return fault
		}
	}
	return s.checkTarget()
}

// checkConnect is about CONNECT, RFC 9113 section 8.5.
func (s *section) checkConnect() string {
	switch {
	case s.seen&(seenScheme|seenPath) != 0:
		return "CONNECT with :scheme or :path"
	case s.Length >= 0:
		return "CONNECT with content-length"
	case !validAuthority(s.Authority, true):
		return "CONNECT without host and port"
	}
	return s.checkHost()
}

// checkExtended is about extended CONNECT, RFC 8441 section 4.
func (s *section) checkExtended(extended bool) string {
	switch {
	case !extended:
		return ":protocol is not allowed"
	case s.Method != connect:
		return ":protocol without CONNECT"
	case s.Protocol == "" || !all(s.Protocol, classToken):
		return "malformed :protocol"
	case s.Length >= 0:
		return "CONNECT with content-length"
	case s.seen&seenAuthority == 0:
		return "extended CONNECT without :authority"
	}
	return ""
}

// checkTarget is about what names the resource, RFC 9113 section 8.3.1.
func (s *section) checkTarget() string {
	switch {
	case s.Scheme != "https" && s.Scheme != "http":
		return "missing or unknown :scheme"
	case s.Path == "":
		return "missing or empty :path"
	case s.Path[0] != '/' && (s.Path != "*" || s.Method != options):
		return ":path is neither absolute nor *"
	case !validPath(s.Path):
		return "malformed :path"
	}
	return s.checkHost()
}

// checkHost makes the host field the authority if there is no other; both must name the same.
func (s *section) checkHost() string {
	if s.seen&seenAuthority == 0 {
		s.Authority = s.host
	}
	switch {
	case s.Authority == "":
		return "neither :authority nor host"
	case !validAuthority(s.Authority, false):
		return "malformed :authority"
	case s.hosted && !strings.EqualFold(s.host, s.Authority):
		return "host differs from :authority"
	}
	return ""
}
