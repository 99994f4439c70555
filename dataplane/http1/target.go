package http1

import (
	"bytes"
	"net/netip"
)

// target reads the request target in each of its four forms, RFC 9112 section 3.2.
func (r *Request) target() *Error {
	at := int(r.Target.From)
	t := r.Bytes(r.Target)
	if len(t) == 0 {
		return bad(at, "empty request target")
	}
	if !all(t, classTarget) {
		return bad(at, "space, control, fragment or non-ASCII octet in the request target")
	}
	switch {
	case string(r.Bytes(r.Method)) == "CONNECT":
		r.Form, r.Authority = AuthorityForm, r.Target
		return checkAuthority(t, at, true)
	case t[0] == '/':
		r.Path = r.Target
		return checkPath(t, at)
	case string(t) == "*" && string(r.Bytes(r.Method)) == "OPTIONS":
		r.Form, r.Path = AsteriskForm, r.Target
		return nil
	}
	return r.absolute(t, at)
}

// absolute reads scheme "://" authority path-abempty [ "?" query ] of http and https.
func (r *Request) absolute(t []byte, at int) *Error {
	var skip int
	switch {
	case len(t) > 7 && EqualFold(t[:7], "http://"):
		skip = 7
	case len(t) > 8 && EqualFold(t[:8], "https://"):
		skip = 8
	default:
		return bad(at, "request target is neither a path nor an http URI")
	}
	end := bytes.IndexAny(t[skip:], "/?")
	if end < 0 {
		end = len(t)
	} else {
		end += skip
	}
	r.Form = AbsoluteForm
	r.Authority = span(at+skip, at+end)
	r.Path = span(at+end, at+len(t))
	if err := checkAuthority(t[skip:end], at+skip, false); err != nil {
		return err
	}
	return checkPath(t[end:], at+end)
}

// checkPath refuses malformed percent-encoding before the query, RFC 3986 section 2.1: servers
// disagree on what it means.
func checkPath(p []byte, at int) *Error {
	for i, c := range p {
		if c == '?' {
			return nil
		}
		if c == '%' && (i+2 >= len(p) || !all(p[i+1:i+3], classHex)) {
			return bad(at+i, "malformed percent-encoding in the path")
		}
	}
	return nil
}

// checkAuthority refuses anything but host [":" port], RFC 9110 section 4.2: no user
// information, no percent-encoding. CONNECT needs a port.
func checkAuthority(a []byte, at int, needPort bool) *Error {
	host, port, ok := splitAuthority(a)
	switch {
	case !ok:
		return bad(at, "malformed host")
	case len(host) == 0:
		return bad(at, "empty host in the request target")
	case needPort && len(port) == 0:
		return bad(at, "CONNECT without a port")
	}
	return nil
}

// splitAuthority cuts host and port apart; ok is false if either is malformed.
func splitAuthority(a []byte) (host, port []byte, ok bool) {
	if len(a) > 0 && a[0] == '[' {
		end := bytes.IndexByte(a, ']')
		if end < 0 || !isIPv6(a[1:end]) {
			return nil, nil, false
		}
		host, a = a[:end+1], a[end+1:]
	} else {
		end := bytes.IndexByte(a, ':')
		if end < 0 {
			end = len(a)
		}
		host, a = a[:end], a[end:]
		if !all(host, classHost) {
			return nil, nil, false
		}
	}
	if len(a) == 0 {
		return host, nil, true
	}
	port = a[1:]
	n, numeric := parseDigits(port)
	return host, port, a[0] == ':' && (len(port) == 0 || numeric && n <= 65535)
}

func isIPv6(b []byte) bool {
	addr, err := netip.ParseAddr(string(b))
	return err == nil && addr.Is6() && addr.Zone() == ""
}

// host checks that the request names one host, RFC 9112 section 3.2: exactly one Host field in
// HTTP/1.1, and the same host in an absolute-form target. An empty Host is allowed; a request
// that says two things is refused, because the proxy and the server could each believe another.
func (r *Request) host() *Error {
	found := -1
	for i := range r.fields {
		if r.fields[i].ID != Host {
			continue
		}
		if found >= 0 {
			return bad(int(r.fields[i].Name.From), "more than one Host field")
		}
		found = i
	}
	if found < 0 {
		if r.Minor == 1 {
			return bad(0, "no Host field")
		}
		return nil
	}
	value := r.fields[found].Value
	if _, _, ok := splitAuthority(r.Bytes(value)); !ok {
		return bad(int(value.From), "malformed Host field")
	}
	if r.Form != AbsoluteForm && r.Form != AuthorityForm {
		r.Authority = value
		return nil
	}
	if !equalFoldBytes(r.Bytes(value), r.Bytes(r.Authority)) {
		return bad(int(value.From), "Host field differs from the request target")
	}
	return nil
}
