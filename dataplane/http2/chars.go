package http2

import (
	"net/netip"
	"strings"
)

// Classes of octets, RFC 9110 sections 5.5 and 5.6.2, RFC 9113 section 8.2.1, RFC 3986 section 3.
const (
	classToken = 1 << iota // tchar
	className              // tchar without upper case
	classValue             // field-vchar, SP and HTAB
	classPath              // VCHAR without the fragment mark
	classHost              // what a registered name may hold: letters, digits, - . _ ~
	classHex
)

// octets maps each octet to its classes.
var octets = func() (t [256]uint8) {
	for c := range 256 {
		low, up, digit := 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9'
		if low || up || digit || c < 0x80 && strings.IndexByte("!#$%&'*+-.^_`|~", byte(c)) >= 0 {
			t[c] |= classToken
			if !up {
				t[c] |= className
			}
		}
		if c == '\t' || c >= ' ' && c != 0x7f {
			t[c] |= classValue
		}
		if c > ' ' && c < 0x7f && c != '#' {
			t[c] |= classPath
		}
		if low || up || digit || c < 0x80 && strings.IndexByte("-._~", byte(c)) >= 0 {
			t[c] |= classHost
		}
		if digit || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' {
			t[c] |= classHex
		}
	}
	return t
}()

// all tells whether every octet of s is of the class; true for an empty s.
func all(s string, class uint8) bool {
	for i := range len(s) {
		if octets[s[i]]&class == 0 {
			return false
		}
	}
	return true
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// validValue holds a field value against RFC 9113 section 8.2.1 and RFC 9110 section 5.5.
func validValue(s string) bool {
	return s == "" || !isSpace(s[0]) && !isSpace(s[len(s)-1]) && all(s, classValue)
}

// validPath refuses what servers read in different ways: anything that RFC 3986 has no place for,
// and malformed percent-encoding before the query.
func validPath(p string) bool {
	if !all(p, classPath) {
		return false
	}
	for i := 0; i < len(p) && p[i] != '?'; i++ {
		if p[i] == '%' && (i+2 >= len(p) || !all(p[i+1:i+3], classHex)) {
			return false
		}
	}
	return true
}

// validAuthority takes host [":" port] only, RFC 9110 section 4.2: no user information, no
// percent-encoding.
func validAuthority(a string, needPort bool) bool {
	var host, port string
	if strings.HasPrefix(a, "[") {
		end := strings.IndexByte(a, ']')
		if end < 0 || !isIPv6(a[1:end]) {
			return false
		}
		host, port = a[:end], a[end+1:]
		if port != "" && port[0] != ':' {
			return false
		}
		port = strings.TrimPrefix(port, ":")
	} else {
		host, port, _ = strings.Cut(a, ":")
		if !all(host, classHost) {
			return false
		}
	}
	if host == "" || port == "" {
		return host != "" && !needPort
	}
	n, ok := parseDigits(port)
	return ok && n <= 65535
}

func isIPv6(s string) bool {
	addr, err := netip.ParseAddr(s)
	return err == nil && addr.Is6() && addr.Zone() == ""
}

// parseDigits reads 1*DIGIT up to 2^63-1: no sign, list, space or overflow.
func parseDigits(s string) (int64, bool) {
	const most = 1<<63 - 1
	if s == "" {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		d := int64(s[i]) - '0'
		if d < 0 || d > 9 || n > (most-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}
