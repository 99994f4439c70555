package web

import "strings"

// badHosts are about Host, alone and against the target.
func badHosts() []ambiguous {
	const (
		one       = "RFC 9112 3.2: exactly one Host; readers choose different ones"
		form      = "RFC 9112 3.2: no valid Host; readers cut it at different places"
		address   = "RFC 3986 3.2.2: no IP literal"
		authority = "RFC 9112 3.2: Host is to be the target's authority; readers believe one or the other"
	)
	return []ambiguous{
		{name: "no Host", wire: lines("GET / HTTP/1.1", "X: 1"), why: one},
		{name: "two Hosts", wire: get("Host: b"), why: one},
		{name: "two equal Hosts", wire: get("host: a"), why: one},
		{name: "two Hosts, one empty", wire: get("Host:"), why: one},
		{name: "two Hosts in HTTP/1.0", wire: lines("GET / HTTP/1.0", "Host: a", "Host: b"), why: one},
		{name: "Host in a list", wire: hosted(" a, b"), why: one},
		{name: "Host of two words", wire: hosted(" a b"), why: form},
		{name: "Host with a tab within", wire: hosted(" a\tb"), why: form},
		{name: "Host with a path", wire: hosted(" a/b"), why: form},
		{name: "Host with a query", wire: hosted(" a?b"), why: form},
		{name: "Host with a fragment", wire: hosted(" a#b"), why: form},
		{name: "Host with a user", wire: hosted(" u@a"), why: form},
		{name: "Host with a scheme", wire: hosted(" http://a"), why: form},
		{name: "Host with a backslash", wire: hosted(` a\b`), why: form},
		{name: "Host with a quote", wire: hosted(` "a"`), why: form},
		{name: "Host with an angle bracket", wire: hosted(" <a>"), why: form},
		{name: "Host with a percent sign", wire: hosted(" %61"), why: "RFC 3986 3.2.2: decoded by some"},
		{name: "Host in UTF-8", wire: hosted(" \xc3\xa9"), why: form},
		{name: "Host with NUL", wire: hosted(" a\x00b"), why: form},
		{name: "Host with DEL", wire: hosted(" a\x7f"), why: form},
		{name: "Host with a word as port", wire: hosted(" a:b"), why: form},
		{name: "Host with a port over 65535", wire: hosted(" a:65536"), why: form},
		{name: "Host with a negative port", wire: hosted(" a:-1"), why: form},
		{name: "Host with two ports", wire: hosted(" a:80:81"), why: form},
		{name: "Host with a bracket that stays open", wire: hosted(" [::1"), why: address},
		{name: "Host with a word in brackets", wire: hosted(" [a]"), why: address},
		{name: "Host with IPv4 in brackets", wire: hosted(" [192.0.2.1]"), why: address},
		{name: "Host with IPv6 without brackets", wire: hosted(" 2001:db8::1"), why: address},
		{name: "Host with a zone", wire: hosted(" [fe80::1%25eth0]"), why: "RFC 6874 1: a zone means something on one machine only"},
		{name: "Host with text behind brackets", wire: hosted(" [::1]x"), why: address},
		{name: "Host differs from the target", wire: lines("GET http://a/ HTTP/1.1", "Host: b"), why: authority},
		{name: "Host differs from the target in its port", wire: lines("GET http://a:80/ HTTP/1.1", "Host: a:81"), why: authority},
		{name: "Host empty, the target has one", wire: lines("GET http://a/ HTTP/1.1", "Host:"), why: authority},
		{name: "Host missing, the target has one", wire: lines("GET http://a/ HTTP/1.1", "X: 1"), why: one},
	}
}

// badTargets are about request targets.
func badTargets() []ambiguous {
	const (
		octet  = "RFC 9112 3.2: no such octet in a target; readers cut, decode or fold it"
		escape = "RFC 3986 2.1: two hexadecimal digits; readers keep, drop or decode what else is there"
		form   = "RFC 9112 3.2: none of the four forms of a target"
		user   = "RFC 9110 4.2.4: user information in http URIs is deprecated and disguises the host"
	)
	return []ambiguous{
		{name: "fragment in the target", wire: line("GET /x#y HTTP/1.1"), why: "RFC 9112 3.2: not part of a target; routed by it for some"},
		{name: "fragment in a target that is a URI", wire: line("GET http://a#b/ HTTP/1.1"), why: "RFC 9110 4.2.4: ends the host for some"},
		{name: "space in the target", wire: line("GET /x y HTTP/1.1"), why: "RFC 9112 3.2: part of the target for some, its end for others"},
		{name: "tab in the target", wire: line("GET /x\ty HTTP/1.1"), why: octet},
		{name: "NUL in the target", wire: line("GET /x\x00y HTTP/1.1"), why: octet},
		{name: "DEL in the target", wire: line("GET /x\x7f HTTP/1.1"), why: octet},
		{name: "control octet in the target", wire: line("GET /x\x01 HTTP/1.1"), why: octet},
		{name: "UTF-8 in the target", wire: line("GET /\xc3\xa9 HTTP/1.1"), why: octet},
		{name: "percent sign before letters", wire: line("GET /%zz HTTP/1.1"), why: escape},
		{name: "percent sign at the end", wire: line("GET /% HTTP/1.1"), why: escape},
		{name: "percent sign before one digit", wire: line("GET /%4 HTTP/1.1"), why: escape},
		{name: "percent sign of Unicode", wire: line("GET /%u0041 HTTP/1.1"), why: escape},
		{name: "percent sign in the path of a URI", wire: line("GET http://a/%zz HTTP/1.1"), why: escape},
		{name: "target without slash", wire: line("GET x HTTP/1.1"), why: form},
		{name: "target with a backslash first", wire: line(`GET \x HTTP/1.1`), why: form},
		{name: "target of a query only", wire: line("GET ?x HTTP/1.1"), why: form},
		{name: "target of a host only", wire: line("GET a:80 HTTP/1.1"), why: form},
		{name: "asterisk for GET", wire: line("GET * HTTP/1.1"), why: "RFC 9112 3.2.4: for OPTIONS only"},
		{name: "asterisk with more", wire: line("OPTIONS *x HTTP/1.1"), why: form},
		{name: "target of another scheme", wire: line("GET ftp://a/ HTTP/1.1"), why: "RFC 9110 7.1: no resource of this server"},
		{name: "target of a file", wire: line("GET file:///etc HTTP/1.1"), why: "RFC 9110 7.1: no resource of this server"},
		{name: "target with one slash after the scheme", wire: line("GET http:/a/ HTTP/1.1"), why: form},
		{name: "target without host", wire: line("GET http:///x HTTP/1.1"), why: "RFC 9110 4.2.1: an empty host must be refused"},
		{name: "target with a port only", wire: line("GET http://:80/ HTTP/1.1"), why: "RFC 9110 4.2.1: an empty host must be refused"},
		{name: "target with a user", wire: line("GET http://u@a/ HTTP/1.1"), why: user},
		{name: "target with user and password", wire: line("GET http://u:p@a/ HTTP/1.1"), why: user},
		{name: "target with a word as port", wire: line("GET http://a:b/ HTTP/1.1"), why: form},
		{name: "target with a backslash in the host", wire: line(`GET http://a\b/ HTTP/1.1`), why: "RFC 3986 3.2: a slash for some"},
		{name: "target with a bracket that stays open", wire: line("GET http://[::1/ HTTP/1.1"), why: form},
	}
}

// badRequestLines are about the first line.
func badRequestLines() []ambiguous {
	const (
		spaces  = "RFC 9112 3: single spaces; readers that take more cut the line elsewhere"
		version = "RFC 9112 2.3: HTTP/1.0 or HTTP/1.1, in capitals"
		method  = "RFC 9110 9.1: a method is a token"
		other   = "RFC 9110 2.5: another version has other rules"
	)
	return []ambiguous{
		{name: "two spaces after the method", wire: line("GET  / HTTP/1.1"), why: spaces},
		{name: "two spaces before the version", wire: line("GET /  HTTP/1.1"), why: spaces},
		{name: "space after the version", wire: line("GET / HTTP/1.1 "), why: spaces},
		{name: "space before the method", wire: line(" GET / HTTP/1.1"), why: spaces},
		{name: "tabs in the request line", wire: line("GET\t/\tHTTP/1.1"), why: spaces},
		{name: "vertical tab in the request line", wire: line("GET\v/ HTTP/1.1"), why: spaces},
		{name: "word behind the version", wire: line("GET / HTTP/1.1 x"), why: spaces},
		{name: "no target", wire: line("GET HTTP/1.1"), why: "RFC 9112 3: three parts"},
		{name: "no version", wire: "GET /\r\n", why: "RFC 9112 2.3: HTTP/0.9 has no head, what follows is not framed"},
		{name: "no version, but a head", wire: line("GET /"), why: "RFC 9112 2.3: HTTP/0.9 has no head, what follows is not framed"},
		{name: "method only", wire: line("GET"), why: "RFC 9112 3: three parts"},
		{name: "version 0.9", wire: line("GET / HTTP/0.9"), why: other, status: 505},
		{name: "version 1.2", wire: line("GET / HTTP/1.2"), why: other, status: 505},
		{name: "version 2.0", wire: line("GET / HTTP/2.0"), why: other, status: 505},
		{name: "preface of HTTP/2", wire: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", why: "RFC 9113 3.4: made so that HTTP/1 servers refuse it", status: 505},
		{name: "version 1.10", wire: line("GET / HTTP/1.10"), why: version},
		{name: "version 01.1", wire: line("GET / HTTP/01.1"), why: version},
		{name: "version 1", wire: line("GET / HTTP/1"), why: version},
		{name: "version with a comma", wire: line("GET / HTTP/1,1"), why: version},
		{name: "version with a letter behind", wire: line("GET / HTTP/1.1x"), why: version},
		{name: "version with a plus", wire: line("GET / HTTP/1.+1"), why: version},
		{name: "version in lower case", wire: line("GET / http/1.1"), why: version},
		{name: "version of another protocol", wire: line("GET / ICAP/1.0"), why: version},
		{name: "method with a colon", wire: line("GE:T / HTTP/1.1"), why: method},
		{name: "method in quotes", wire: line(`"GET" / HTTP/1.1`), why: method},
		{name: "method with a slash", wire: line("GET/ / HTTP/1.1"), why: method},
		{name: "method with a control octet", wire: line("GET\x01 / HTTP/1.1"), why: method},
		{name: "method with NUL", wire: line("GE\x00T / HTTP/1.1"), why: method},
		{name: "method in UTF-8", wire: line("G\xc3\x89T / HTTP/1.1"), why: method},
		{name: "method empty", wire: line(" / HTTP/1.1"), why: method},
		{name: "hello of TLS", wire: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", why: "RFC 9112 3: no request"},
	}
}

// badConnects are about CONNECT, which a proxy before servers has no use for.
func badConnects() []ambiguous {
	const form = "RFC 9112 3.2.3: host and port"
	return []ambiguous{
		{name: "CONNECT", wire: lines("CONNECT a:443 HTTP/1.1", "Host: a:443"), why: "RFC 9110 9.3.6: what follows is of the tunnel, not HTTP, unless it is refused", status: 405},
		{name: "CONNECT without port", wire: line("CONNECT a HTTP/1.1"), why: form},
		{name: "CONNECT with a path", wire: line("CONNECT /x HTTP/1.1"), why: form},
		{name: "CONNECT with a URI", wire: line("CONNECT http://a:1/ HTTP/1.1"), why: form},
		{name: "CONNECT with a length", wire: lines("CONNECT a:1 HTTP/1.1", "Host: a:1", "Content-Length: 1") + "x", why: "RFC 9110 9.3.6: CONNECT has no content"},
		{name: "CONNECT with a coding", wire: lines("CONNECT a:1 HTTP/1.1", "Host: a:1", "Transfer-Encoding: chunked") + "0\r\n\r\n", why: "RFC 9110 9.3.6: CONNECT has no content"},
		{name: "CONNECT to another Host", wire: lines("CONNECT a:1 HTTP/1.1", "Host: b:1"), why: "RFC 9112 3.2: Host is to be the target's authority"},
	}
}

// badChunks are about the chunked coding. Their heads are in order.
func badChunks() []ambiguous {
	const (
		size  = "RFC 9112 7.1: 1*HEXDIG, which number parsers take more widely"
		lf    = "RFC 9112 7.1: CRLF; a bare LF is a line end for some, part of the extension for others"
		cr    = "RFC 9112 7.1: CRLF; a bare CR is a line end for some"
		after = "RFC 9112 7.1: CRLF after a chunk; readers that skip two octets whatever they are read on elsewhere"
		field = "RFC 9112 7.1.2: trailers are field lines"
	)
	const end = "\r\n0\r\n\r\n"
	all := []ambiguous{
		{name: "chunk without size", wire: "\r\nhello" + end, why: size},
		{name: "chunk size with plus", wire: "+5\r\nhello" + end, why: size},
		{name: "chunk size with minus", wire: "-5\r\nhello" + end, why: size},
		{name: "chunk size minus zero", wire: "5\r\nhello\r\n-0\r\n\r\n", why: size},
		{name: "chunk size with 0x", wire: "0x5\r\nhello" + end, why: size},
		{name: "chunk size with an underscore", wire: "0_5\r\nhello" + end, why: size},
		{name: "chunk size with a dot", wire: "5.0\r\nhello" + end, why: size},
		{name: "chunk size with h behind", wire: "5h\r\nhello" + end, why: size},
		{name: "chunk size of a letter", wire: "g\r\nhello" + end, why: size},
		{name: "chunk size after a space", wire: " 5\r\nhello" + end, why: size},
		{name: "chunk size after a tab", wire: "\t5\r\nhello" + end, why: size},
		{name: "chunk size before a space", wire: "5 \r\nhello" + end, why: "RFC 9112 7.1: white space is trimmed by some, an error for others"},
		{name: "chunk size before a tab", wire: "5\t\r\nhello" + end, why: "RFC 9112 7.1: white space is trimmed by some, an error for others"},
		{name: "chunk size before a vertical tab", wire: "5\v\r\nhello" + end, why: size},
		{name: "chunk size before NUL", wire: "5\x00\r\nhello" + end, why: size},
		{name: "chunk sizes, two in a line", wire: "5 5\r\nhello" + end, why: size},
		{name: "chunk size over 64 bits", wire: "10000000000000005\r\nhello" + end, why: "RFC 9112 7.1: overflow must be prevented; 5 for some"},
		{name: "chunk size of 64 bits", wire: "fffffffffffffffb\r\nhello" + end, why: "RFC 9112 7.1: overflow must be prevented; negative for some"},
		{name: "chunk size behind many zeros", wire: strings.Repeat("0", 40) + "5\r\nhello" + end, why: "RFC 9112 7.1: readers count digits or cut them"},
		{name: "chunk size before a bare LF", wire: "5\nhello" + end, why: lf},
		{name: "chunk size before a bare CR", wire: "5\rhello" + end, why: cr},
		{name: "chunk size before two CR", wire: "5\r\r\nhello" + end, why: cr},
		{name: "chunk extension after a space", wire: "5 ;a=b\r\nhello" + end, why: "RFC 9112 7.1.1: bad white space, the end of the size for some"},
		{name: "chunk extension after a tab", wire: "5\t;a=b\r\nhello" + end, why: "RFC 9112 7.1.1: bad white space, the end of the size for some"},
		{name: "chunk extension before a bare LF", wire: "5;a\nhello" + end, why: lf},
		{name: "chunk extension with a bare LF in quotes", wire: "5;a=\"\n\"\r\nhello" + end, why: lf},
		{name: "chunk extension with a bare CR", wire: "5;a\rb\r\nhello" + end, why: cr},
		{name: "chunk extension with NUL", wire: "5;a\x00\r\nhello" + end, why: "RFC 9110 5.6.4: no control octets"},
		{name: "chunk extension without size", wire: ";a\r\nhello" + end, why: size},
		{name: "chunk end of bare LF", wire: "5\r\nhello\n0\r\n\r\n", why: after},
		{name: "chunk end of bare CR", wire: "5\r\nhello\r0\r\n\r\n", why: after},
		{name: "chunk end of CR and another octet", wire: "5\r\nhello\rX0\r\n\r\n", why: after},
		{name: "chunk end of two other octets", wire: "5\r\nhelloXY0\r\n\r\n", why: after},
		{name: "chunk end missing", wire: "5\r\nhello0\r\n\r\n", why: after},
		{name: "chunk longer than its size", wire: "5\r\nhello world" + end, why: after},
		{name: "chunk shorter than its size", wire: "6\r\nhello" + end, why: after},
		{name: "last chunk before a bare LF", wire: "5\r\nhello\r\n0\n\r\n", why: lf},
		{name: "last chunk with 0x", wire: "5\r\nhello\r\n0x0\r\n\r\n", why: size},
		{name: "body end of bare LF", wire: "5\r\nhello\r\n0\r\n\n", why: lf},
		{name: "body end of bare CR", wire: "5\r\nhello\r\n0\r\n\rX", why: cr},
		{name: "trailer before a bare LF", wire: "5\r\nhello\r\n0\r\nX: 1\n\r\n", why: lf},
		{name: "trailer with a bare CR", wire: "5\r\nhello\r\n0\r\nX: 1\r2\r\n\r\n", why: cr},
		{name: "trailer folded", wire: "5\r\nhello\r\n0\r\nX: 1\r\n 2\r\n\r\n", why: field},
		{name: "trailer without colon", wire: "5\r\nhello\r\n0\r\nGET / HTTP/1.1\r\n\r\n", why: "RFC 9112 7.1.2: the next request for some"},
		{name: "trailer with a space before the colon", wire: "5\r\nhello\r\n0\r\nX : 1\r\n\r\n", why: field},
		{name: "trailer without name", wire: "5\r\nhello\r\n0\r\n: 1\r\n\r\n", why: field},
		{name: "trailer with NUL", wire: "5\r\nhello\r\n0\r\nX: \x00\r\n\r\n", why: field},
		{name: "trailer after a space", wire: "5\r\nhello\r\n0\r\n X: 1\r\n\r\n", why: field},
	}
	for i := range all {
		all[i].wire, all[i].hidden = chunks(all[i].wire), true
	}
	return all
}

// tooLarge are heads that no server should be made to keep.
func tooLarge() []ambiguous {
	const (
		why  = "RFC 9112 5.4: a server limits what it reads, or it is made to keep it"
		long = "RFC 9112 3: must be refused with 414"
	)
	return []ambiguous{
		{name: "too many fields", wire: get(strings.Split(strings.Repeat("X: 1\n", 128)+"X: 1", "\n")...), why: why, status: 431},
		{name: "field too large", wire: get("X: " + strings.Repeat("1", 32<<10)), why: why, status: 431},
		{name: "name too large", wire: get(strings.Repeat("X", 33<<10) + ": 1"), why: why, status: 431},
		{name: "target too large", wire: line("GET /" + strings.Repeat("x", 33<<10) + " HTTP/1.1"), why: long, status: 414},
		{name: "method too large", wire: line(strings.Repeat("X", 33<<10) + " / HTTP/1.1"), why: long, status: 414},
		{name: "request line without end", wire: strings.Repeat("x", 33<<10), why: long, status: 414},
	}
}
