package web

import (
	"slices"
	"strings"
)

// valid is a class of requests that a proxy must pass on.
type valid struct {
	// name says what is particular about it; no two classes have the same.
	name string
	// wire are the bytes that a client sends.
	wire string
	// why says which section allows it.
	why string
	// target and method are what the server is to see; absent: / and GET.
	target, method string
	// body is the content that the server is to get.
	body string
	// has are lines of the head that the server is to see; lacks are names of fields that it is not.
	has, lacks []string
	// last says that the client's connection ends with the answer.
	last bool
}

func (v valid) line() string {
	method, target := v.method, v.target
	if method == "" {
		method = "GET"
	}
	if target == "" {
		target = "/"
	}
	return method + " " + target + " HTTP/1.1"
}

// asked is a valid request of this line and these fields after Host, which get "/" unless target says otherwise.
func asked(name, why, text, method, target string, fields ...string) valid {
	return valid{name: name, why: why, method: method, target: target, wire: lines(slices.Concat([]string{text, "Host: a"}, fields)...)}
}

// fielded is a valid GET with these fields after Host.
func fielded(name, why string, fields ...string) valid {
	return asked(name, why, "GET / HTTP/1.1", "", "", fields...)
}

// posted is a valid POST with these fields after Host and this content as it is sent and as it is read.
func posted(name, why, wire, body string, fields ...string) valid {
	v := asked(name, why, "POST / HTTP/1.1", "POST", "", fields...)
	v.wire, v.body = v.wire+wire, body
	return v
}

// chunked is a valid POST with this chunked body.
func chunked(name, why, wire, body string) valid {
	return posted(name, why, wire, body, "Transfer-Encoding: chunked")
}

func (v valid) sees(all ...string) valid    { v.has = all; return v }
func (v valid) without(all ...string) valid { v.lacks = all; return v }
func (v valid) ends() valid                 { v.last = true; return v }

// allowed are all valid classes.
func allowed() []valid {
	return slices.Concat(goodMethods(), goodTargets(), goodHosts(), goodVersions(), goodConnections(), goodFields(), goodContents(), goodChunks())
}

func goodMethods() []valid {
	const token = "RFC 9110 9.1: methods are tokens, and case matters"
	first := asked("empty line first", "RFC 9112 2.2: at least one is ignored", "GET / HTTP/1.1", "", "")
	first.wire = "\r\n" + first.wire
	return []valid{
		asked("GET", "RFC 9110 9.3.1", "GET / HTTP/1.1", "", ""),
		first,
		asked("HEAD", "RFC 9110 9.3.2", "HEAD / HTTP/1.1", "HEAD", ""),
		asked("PUT without content", "RFC 9110 9.3.4", "PUT /x HTTP/1.1", "PUT", "/x", "Content-Length: 0"),
		asked("DELETE", "RFC 9110 9.3.5", "DELETE /s/1 HTTP/1.1", "DELETE", "/s/1"),
		asked("TRACE", "RFC 9110 9.3.8", "TRACE / HTTP/1.1", "TRACE", ""),
		asked("PATCH", "RFC 5789 2", "PATCH /x HTTP/1.1", "PATCH", "/x", "Content-Length: 0"),
		asked("PROPFIND", "RFC 4918 9.1", "PROPFIND /x HTTP/1.1", "PROPFIND", "/x", "Depth: 0"),
		asked("method with a hyphen", token, "M-SEARCH / HTTP/1.1", "M-SEARCH", ""),
		asked("method in lower case", token, "get / HTTP/1.1", "get", ""),
		asked("method of odd token characters", token, "!#$%&'*+-.^_`|~ / HTTP/1.1", "!#$%&'*+-.^_`|~", ""),
		asked("method of digits", token, "123 / HTTP/1.1", "123", ""),
		asked("OPTIONS of a path", "RFC 9110 9.3.7", "OPTIONS /x HTTP/1.1", "OPTIONS", "/x"),
		asked("OPTIONS of the server", "RFC 9112 3.2.4", "OPTIONS * HTTP/1.1", "OPTIONS", "*"),
		asked("OPTIONS of a URI without path", "RFC 9112 3.2.4: sent on as *", "OPTIONS http://a HTTP/1.1", "OPTIONS", "*"),
		asked("OPTIONS of a URI with a path", "RFC 9112 3.2.4", "OPTIONS http://a/ HTTP/1.1", "OPTIONS", "/"),
	}
}

func goodTargets() []valid {
	const (
		path  = "RFC 9112 3.2.1: sent on as it is"
		query = "RFC 3986 3.4: whatever servers make of it"
		uri   = "RFC 9112 3.2.2: must be accepted"
	)
	of := func(name, why, target string) valid {
		return asked(name, why, "GET "+target+" HTTP/1.1", "", target)
	}
	long := "/" + strings.Repeat("x", 8000)
	return []valid{
		of("query", query, "/q?a=1&b=2"),
		of("query of the root", query, "/?x"),
		of("query empty", query, "/x?"),
		of("query with a question mark", query, "/x?a?b"),
		of("query with a slash", query, "/x?a/../b"),
		of("query with a stray percent sign", "as users type it; no part of the path", "/x?a=100%"),
		of("query with characters that should be escaped", "as browsers send it", "/x?a={1|2}[\"^`\\]"),
		of("path with percent signs", path, "/a%20b%2Fc"),
		of("path with lower-case escapes", path, "/a%2fb"),
		of("path with an escaped NUL", path, "/%00"),
		of("path with an escaped CRLF", path, "/x%0d%0aX:%201"),
		of("path with two slashes", path, "//x//y"),
		of("path with dot segments", path, "/a/../b/./c"),
		of("path with a colon", path, "/a:b"),
		of("path with an at sign", path, "/u@a"),
		of("path with parameters", path, "/a;v=1/b"),
		of("path with sub-delimiters", path, "/!$&'()*+,;="),
		of("path with a URI", path, "/http://b/"),
		of("path of 8,000 bytes", "RFC 9112 3: at least 8,000 octets", long),
		of("search of DICOMweb", "PS3.18 10.6", "/dicom-web/studies?00100020=1.2.3&limit=5"),
		of("instance of DICOMweb", "PS3.18 10.4", "/dicom-web/studies/1.2/series/3.4/instances/5.6/frames/1,2"),
		asked("URI", uri, "GET http://a/x HTTP/1.1", "", "/x"),
		asked("URI of https", uri, "GET https://a/x?y HTTP/1.1", "", "/x?y"),
		asked("URI in capitals", "RFC 9110 4.2.3: scheme and host without case", "GET HTTP://A/x HTTP/1.1", "", "/x"),
		asked("URI without path", "RFC 9112 3.2.1: / stands for none", "GET http://a HTTP/1.1", "", "/"),
		asked("URI with a query only", "RFC 9112 3.2.1: / stands for none", "GET http://a?x HTTP/1.1", "", "/?x"),
	}
}

func goodHosts() []valid {
	const form = "RFC 9110 7.2: host and port"
	of := func(name, why, value string) valid {
		v := asked(name, why, "GET / HTTP/1.1", "", "")
		v.wire = hosted(value)
		return v.sees("Host: " + strings.Trim(value, " \t"))
	}
	port := asked("URI with a port", "RFC 9112 3.2.2", "GET http://a:8042/ HTTP/1.1", "", "/")
	port.wire = lines("GET http://a:8042/ HTTP/1.1", "Host: a:8042")
	late := asked("Host last and in lower case", "RFC 9110 5.1: names without case; 5.3: in any order", "GET / HTTP/1.1", "", "")
	late.wire = lines("GET / HTTP/1.1", "X: 1", "host:a")
	return []valid{
		of("Host with a port", form, " a:8080"),
		of("Host with an empty port", form, " a:"),
		of("Host of IPv4", form, " 192.0.2.1:80"),
		of("Host of IPv6", form, " [2001:db8::1]"),
		of("Host of IPv6 with a port", form, " [::1]:80"),
		of("Host with an underscore", "RFC 3986 3.2.2: a registered name", " pacs_1.local"),
		of("Host with a final dot", "RFC 3986 3.2.2: a registered name", " a."),
		of("Host in capitals", "RFC 9110 4.2.3", " PACS.Example.ORG"),
		of("Host with white space around", "RFC 9112 5.1", " \t a \t"),
		of("Host of 255 characters", "RFC 1035 2.3.4", " "+strings.Repeat("a", 63)+"."+strings.Repeat("b", 63)+"."+strings.Repeat("c", 63)+"."+strings.Repeat("d", 63)),
		port, late,
	}
}

func goodVersions() []valid {
	const old = "RFC 9112 2.3, C.1: HTTP/1.0"
	of := func(name, why, target string, fields ...string) valid {
		return valid{name: name, why: why, wire: lines(slices.Concat([]string{"GET " + target + " HTTP/1.0"}, fields)...), last: true}
	}
	body := of("HTTP/1.0 with content", old, "/", "Host: a", "Content-Length: 5").without("Connection")
	body.wire, body.body, body.method = strings.Replace(body.wire, "GET", "POST", 1)+"hello", "hello", "POST"
	expects := body.without("Expect")
	expects.name, expects.why = "HTTP/1.0 with an expectation", "RFC 9110 10.1.1: ignored"
	expects.wire = strings.Replace(body.wire, "Host: a", "Host: a\r\nExpect: 100-continue", 1)
	kept := of("HTTP/1.0 kept alive", "RFC 9112 C.2.2", "/", "Host: a", "Connection: Keep-Alive")
	kept.last = false
	return []valid{
		of("HTTP/1.0 without Host", old, "/"),
		of("HTTP/1.0 with Host", old, "/", "Host: a").sees("Host: a"),
		of("HTTP/1.0 of a URI", old, "http://a/").sees("Host: a"),
		kept,
		of("HTTP/1.0 where close wins", "RFC 9112 9.3", "/", "Host: a", "Connection: keep-alive, close"),
		body, expects,
	}
}

func goodConnections() []valid {
	const webSocketKey = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
	const strip = "RFC 9110 7.6.1: for this connection only"
	const protect = "RFC 9110 7.6.1: not what the recipient needs"
	return []valid{
		fielded("close", "RFC 9112 9.6", "Connection: close").ends(),
		fielded("close in capitals", "RFC 9110 7.6.1: without case", "connection: CLOSE").ends(),
		fielded("close in a list", "RFC 9110 5.6.1: empty elements are ignored", "Connection: x , close,").ends(),
		fielded("close in the second field", "RFC 9110 5.3", "Connection: x", "Connection: close").ends(),
		fielded("closed is not close", "RFC 9110 7.6.1", "Connection: closed"),
		fielded("Connection empty", "RFC 9110 5.6.1", "Connection:"),
		fielded("Connection of a field", strip, "Connection: x-own", "X-Own: 1").without("X-Own", "Connection"),
		fielded("Connection of Host", protect, "Connection: host").sees("Host: a"),
		fielded("Connection of Cookie", protect, "Connection: cookie", "Cookie: c=1").sees("Cookie: c=1"),
		fielded("Connection of Authorization", protect, "Connection: authorization", "Authorization: Basic eDp5").sees("Authorization: Basic eDp5"),
		fielded("Connection of X-Forwarded-For", protect, "Connection: x-forwarded-for").sees("X-Forwarded-For: " + client),
		posted("Connection of Content-Length", protect, "hello", "hello", "Connection: content-length", "Content-Length: 5").sees("Content-Length: 5"),
		posted("Connection of Transfer-Encoding", protect, "5\r\nhello\r\n0\r\n\r\n", "hello", "Connection: transfer-encoding", "Transfer-Encoding: chunked"),
		fielded("Keep-Alive", strip, "Keep-Alive: timeout=5", "Connection: keep-alive").without("Keep-Alive"),
		fielded("Proxy-Connection", "RFC 9112 C.2.2: never obeyed", "Proxy-Connection: close").without("Proxy-Connection"),
		fielded("TE", strip, "TE: trailers", "Connection: TE").without("TE"),
		fielded("Upgrade that is not nominated", "RFC 9110 7.8: ignored", "Upgrade: websocket").without("Upgrade"),
		fielded("Upgrade to WebSocket that the server ignores", "RFC 9110 7.8", "Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", webSocketKey).
			sees("Upgrade: websocket", "Connection: Upgrade"),
		fielded("Upgrade to HTTP/2", "RFC 9110 7.8: may be ignored, as RFC 9113 3.1 wants of h2c", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA").
			without("Upgrade", "HTTP2-Settings", "Connection"),
		fielded("Upgrade to HTTP/2 or WebSocket", "RFC 9110 7.8: h2c is not offered in any list", "Connection: Upgrade", "Upgrade: websocket, h2c", "Sec-WebSocket-Version: 13", webSocketKey).without("Upgrade", "Connection"),
		posted("Upgrade with content", "RFC 9110 7.8: may be ignored", "hello", "hello", "Connection: Upgrade", "Upgrade: websocket", "Content-Length: 5").without("Upgrade"),
	}
}

func goodFields() []valid {
	const value = "RFC 9110 5.5"
	many := slices.Concat(strings.Split(strings.TrimSuffix(strings.Repeat("X: 1\n", 100), "\n"), "\n"))
	return []valid{
		fielded("value empty", value, "X:").sees("X: "),
		fielded("value of colons", value, "X: :a: b:").sees("X: :a: b:"),
		fielded("value with a tab", value, "X: a\tb").sees("X: a\tb"),
		fielded("value in UTF-8", value+": obs-text is opaque", "X: \xc3\xa9").sees("X: \xc3\xa9"),
		fielded("value in Latin-1", value+": obs-text is opaque", "X: \xe9").sees("X: \xe9"),
		fielded("value without space", "RFC 9112 5.1", "X:1").sees("X: 1"),
		fielded("value of 8,000 bytes", value, "X: "+strings.Repeat("1", 8000)).sees("X: " + strings.Repeat("1", 8000)),
		fielded("name of odd token characters", "RFC 9110 5.6.2", "!#$%&'*+-.^_`|~1: x").sees("!#$%&'*+-.^_`|~1: x"),
		fielded("name with an underscore", "RFC 9110 5.6.2: no other name for Transfer-Encoding", "Transfer_Encoding: chunked").sees("Transfer_Encoding: chunked"),
		fielded("a hundred fields", "RFC 9112 5.4", many...),
		fielded("one name in two lines", "RFC 9110 5.3: order is kept", "X: 1", "X: 2").sees("X: 1", "X: 2"),
		fielded("two Cookies", "RFC 9113 8.2.3 makes such; servers join them", "Cookie: a=1", "Cookie: b=2").sees("Cookie: a=1", "Cookie: b=2"),
		fielded("Expect of something else", "RFC 9110 10.1.1: for the server to judge", "Expect: 200-ok"),
		fielded("X-Forwarded-For of a client", "the client is named by the proxy alone", "X-Forwarded-For: 192.0.2.66").sees("X-Forwarded-For: " + client),
	}
}

func goodContents() []valid {
	const length = "RFC 9112 6.2"
	inGet := posted("content in a GET", "RFC 9110 9.3.1: no meaning, but framed", "hello", "hello", "Content-Length: 5")
	inGet.method, inGet.wire = "GET", strings.Replace(inGet.wire, "POST", "GET", 1)
	return []valid{
		posted("content with length", length, "hello", "hello", "Content-Length: 5").sees("Content-Length: 5"),
		posted("content of nothing", length, "", "", "Content-Length: 0").sees("Content-Length: 0"),
		posted("length with leading zeros", "RFC 9110 8.6: 1*DIGIT", "hello", "hello", "Content-Length: 0005").sees("Content-Length: 5"),
		posted("length with white space around", "RFC 9112 5.1", "hello", "hello", "Content-Length: \t5 \t").sees("Content-Length: 5"),
		posted("length twice the same", "RFC 9110 8.6: may be made one", "hello", "hello", "Content-Length: 5", "Content-Length: 5").sees("Content-Length: 5"),
		posted("content of all octets", length, octets(), octets(), "Content-Length: 256"),
		posted("content that looks like a request", length, get(), get(), "Content-Length: 27"),
		posted("content that was expected", "RFC 9110 10.1.1: a client may send at once", "hello", "hello", "Expect: 100-Continue", "Content-Length: 5"),
		inGet,
	}
}

func goodChunks() []valid {
	const extension = "RFC 9112 7.1.1: extensions that are not known are ignored"
	const trailers = "RFC 9112 7.1.2"
	trailer := func(name, why, field string) valid {
		return chunked(name, why, "5\r\nhello\r\n0\r\n"+field+"\r\n\r\n", "hello")
	}
	coding := posted("chunked in capitals", "RFC 9112 7: without case", "5\r\nhello\r\n0\r\n\r\n", "hello", "TRANSFER-ENCODING:\tChunked ")
	inGet := chunked("chunk in a GET", "RFC 9110 9.3.1: no meaning, but framed", "5\r\nhello\r\n0\r\n\r\n", "hello")
	inGet.method, inGet.wire = "GET", strings.Replace(inGet.wire, "POST", "GET", 1)
	return []valid{
		coding, inGet,
		chunked("chunk", "RFC 9112 7.1", "5\r\nhello\r\n0\r\n\r\n", "hello"),
		chunked("no chunk", "RFC 9112 7.1", "0\r\n\r\n", ""),
		chunked("many chunks", "RFC 9112 7.1", strings.Repeat("1\r\nx\r\n", 500)+"0\r\n\r\n", strings.Repeat("x", 500)),
		chunked("chunk size in capitals", "RFC 9112 7.1: HEXDIG", "A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
		chunked("chunk size in lower case", "RFC 9112 7.1: HEXDIG", "a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
		chunked("chunk size with leading zeros", "RFC 9112 7.1", "0005\r\nhello\r\n000\r\n\r\n", "hello"),
		chunked("chunk with line ends", "RFC 9112 7.1", "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", "\r\n0\r\n\r\n"),
		chunked("chunk extension", extension, "5;a=b;c\r\nhello\r\n0;x\r\n\r\n", "hello"),
		chunked("chunk extension in quotes", extension, "5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n", "hello"),
		trailer("trailer", trailers, "X-Sum: 1").sees("X-Sum: 1"),
		trailer("trailer of two lines", trailers, "X-Sum: 1\r\nX-More: 2").sees("X-Sum: 1", "X-More: 2"),
		trailer("trailer of Content-Length", "RFC 9110 6.5.1: dropped, must not count", "Content-Length: 500").without("Content-Length"),
		trailer("trailer of Transfer-Encoding", "RFC 9110 6.5.1: dropped, must not count", "Transfer-Encoding: identity"),
		trailer("trailer of Host", "RFC 9110 6.5.1: dropped, must not count", "Host: b").sees("Host: a"),
		trailer("trailer of X-Forwarded-For", "RFC 9110 6.5.1: dropped, the proxy names the client", "X-Forwarded-For: 192.0.2.66").sees("X-Forwarded-For: " + client),
	}
}

// octets are all of them.
func octets() string {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return string(all)
}
