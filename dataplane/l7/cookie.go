package l7

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
)

// cookie is insert persistence: the first answer sets a cookie with the server's token, later
// requests bring it, and it is taken out of what the server gets.
//
// A route to another pool than the listener's has a cookie of its own name, so that the two do
// not overwrite each other in the browser.
type cookie struct {
	// name is sent to the browser; base is the configured name.
	name, base string
	// attributes follow the token in Set-Cookie. SameSite=Lax keeps the cookie on links from a
	// portal into the viewer; HttpOnly hides it from scripts.
	attributes string
}

// poolSuffix is the length of what tells cookies of pools apart: a dash and 8 hex digits.
const poolSuffix = 9

func newCookie(base, pool string, isDefault, secure bool) *cookie {
	c := &cookie{name: base, base: base, attributes: "; Path=/; HttpOnly; SameSite=Lax"}
	if !isDefault {
		sum := sha256.Sum256([]byte("truepacs pool\x00" + pool))
		c.name = base + "-" + hex.EncodeToString(sum[:4])
	}
	if secure {
		c.attributes += "; Secure"
	}
	return c
}

// appendSet appends the Set-Cookie field that ties the browser to a server.
func (c *cookie) appendSet(dst []byte, t token) []byte {
	dst = append(dst, "Set-Cookie: "...)
	dst = append(dst, c.name...)
	dst = append(dst, '=')
	dst = append(dst, t[:]...)
	dst = append(dst, c.attributes...)
	return append(dst, "\r\n"...)
}

// find reads the token in a Cookie field (RFC 6265 section 4.2); ok is false without one.
func (c *cookie) find(field []byte) (t token, ok bool) {
	for rest := field; rest != nil; {
		var name, value []byte
		name, value, _, rest = nextCookie(rest)
		if string(name) == c.name && len(value) == len(t) {
			return token(value), true
		}
	}
	return t, false
}

// ours tells whether a cookie is one that this listener sets, for whatever pool.
func (c *cookie) ours(name []byte) bool {
	if len(name) < len(c.base) || string(name[:len(c.base)]) != c.base {
		return false
	}
	suffix := name[len(c.base):]
	return len(suffix) == 0 || len(suffix) == poolSuffix && suffix[0] == '-' && isHex(suffix[1:])
}

func isHex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// has tells whether a Cookie field holds a cookie of ours.
func (c *cookie) has(field []byte) bool {
	for rest := field; rest != nil; {
		var name []byte
		if name, _, _, rest = nextCookie(rest); c.ours(name) {
			return true
		}
	}
	return false
}

// appendOthers appends the cookies of a field that are not ours, byte for byte; nothing if all are.
func (c *cookie) appendOthers(dst, field []byte) []byte {
	start := len(dst)
	for rest := field; rest != nil; {
		var name, pair []byte
		name, _, pair, rest = nextCookie(rest)
		if c.ours(name) || len(pair) == 0 {
			continue
		}
		if len(dst) > start {
			dst = append(dst, "; "...)
		}
		dst = append(dst, pair...)
	}
	return dst
}

// nextCookie cuts the first pair off a Cookie field. rest is nil after the last.
func nextCookie(field []byte) (name, value, pair, rest []byte) {
	pair = field
	if i := bytes.IndexByte(field, ';'); i >= 0 {
		pair, rest = field[:i], field[i+1:]
	}
	pair = bytes.Trim(pair, " \t")
	name = pair
	if i := bytes.IndexByte(pair, '='); i >= 0 {
		name, value = bytes.TrimRight(pair[:i], " \t"), bytes.TrimLeft(pair[i+1:], " \t")
	}
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	return name, value, pair, rest
}
