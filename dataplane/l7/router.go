package l7

import (
	"bytes"

	"github.com/truepacs/balancer/dataplane/http1"
	"github.com/truepacs/balancer/dataplane/model"
)

// route is a compiled model.Route, or the default of a listener, which has no prefix.
type route struct {
	name     string
	prefixes []string // without a final slash; "" matches every path
	backend  *backend
	rewrite  *string // without a final slash
	set      []model.Header
	remove   []string
}

// match returns the first route for a path (with or without query) and the length of the prefix
// that matched.
func (s *service) match(path []byte) (*route, int) {
	path, _ = cutQuery(path)
	for i := range s.routes {
		for _, prefix := range s.routes[i].prefixes {
			if hasElements(path, prefix) {
				return &s.routes[i], len(prefix)
			}
		}
	}
	return &s.fallback, 0
}

// hasElements tells whether path starts with the elements of prefix.
func hasElements(path []byte, prefix string) bool {
	return len(path) >= len(prefix) && string(path[:len(prefix)]) == prefix &&
		(len(path) == len(prefix) || path[len(prefix)] == '/')
}

func cutQuery(target []byte) (path, query []byte) {
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		return target[:i], target[i:]
	}
	return target, nil
}

// appendTarget appends the target for the server: path is that of the client with its query,
// of which the first matched bytes are the route's prefix.
func (r *route) appendTarget(dst, path []byte, matched int) []byte {
	start := len(dst)
	if r.rewrite != nil {
		dst = append(dst, *r.rewrite...)
		path = path[matched:]
	}
	if len(dst) == start && (len(path) == 0 || path[0] == '?') {
		dst = append(dst, '/')
	}
	return append(dst, path...)
}

// changes tells whether the route replaces or removes a header field.
func (r *route) changes(name []byte) bool {
	for i := range r.set {
		if http1.EqualFold(name, r.set[i].Name) {
			return true
		}
	}
	for _, n := range r.remove {
		if http1.EqualFold(name, n) {
			return true
		}
	}
	return false
}

// climbs tells whether some server could take an element of a path as "." or "..": plain or
// percent-encoded, between slashes or backslashes plain or encoded, and up to a semicolon, where
// some servers cut parameters off.
func climbs(path []byte) bool {
	path, _ = cutQuery(path)
	dots, other, cut := 0, false, false
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' && i+2 < len(path) {
			c = unescape(path[i+1], path[i+2])
			i += 2
		}
		switch {
		case c == '/' || c == '\\':
			if isDots(dots, other) {
				return true
			}
			dots, other, cut = 0, false, false
		case c == ';':
			cut = true
		case cut:
		case c == '.':
			dots++
		default:
			other = true
		}
	}
	return isDots(dots, other)
}

func isDots(dots int, other bool) bool { return !other && (dots == 1 || dots == 2) }

// unescape decodes two hexadecimal digits, which the codec has checked.
func unescape(hi, lo byte) byte { return nibble(hi)<<4 | nibble(lo) }

func nibble(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
