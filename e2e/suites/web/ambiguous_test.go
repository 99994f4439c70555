package web

import (
	"slices"
	"strings"
)

// ambiguous is a class of requests that a proxy must not pass on: two readers could take them in two ways, or a reader that is
// careless could be led to.
type ambiguous struct {
	// name says what is odd about it; no two classes have the same.
	name string
	// wire are the bytes that a client sends.
	wire string
	// why says what could be read otherwise and which section forbids it.
	why string
	// status is what the client is told; 0: 400.
	status int
	// hidden says that all of it is in the content, so that the head alone is in order.
	hidden bool
}

func (a ambiguous) answer() int {
	if a.status == 0 {
		return 400
	}
	return a.status
}

// lines is a head of these lines.
func lines(all ...string) string { return strings.Join(all, "\r\n") + "\r\n\r\n" }

// get is a head of GET / with these lines after its request line and Host.
func get(fields ...string) string {
	return lines(slices.Concat([]string{"GET / HTTP/1.1", "Host: a"}, fields)...)
}

// post is a head of POST / in the same way, with hello behind it.
func post(fields ...string) string {
	return lines(slices.Concat([]string{"POST / HTTP/1.1", "Host: a"}, fields)...) + "hello"
}

// coded is a request with this Transfer-Encoding and a chunked body of hello.
func coded(value string) string {
	return lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding:"+value) + "5\r\nhello\r\n0\r\n\r\n"
}

// counted is a request with this Content-Length and a body of hello.
func counted(value string) string {
	return lines("POST / HTTP/1.1", "Host: a", "Content-Length:"+value) + "hello"
}

// chunks is a request with this chunked body.
func chunks(body string) string {
	return lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + body
}

// line is a GET with this request line.
func line(text string) string { return lines(text, "Host: a") }

// hosted is a GET with this value of Host.
func hosted(value string) string { return lines("GET / HTTP/1.1", "Host:"+value) }

// group are classes that are about the same.
type group struct {
	name    string
	classes []ambiguous
}

// groups are all ambiguous classes.
func groups() []group {
	return []group{
		{"Transfer-Encoding", codings()},
		{"Content-Length", lengths()},
		{"line ends", brokenLines()},
		{"fields", badFields()},
		{"Host", badHosts()},
		{"target", badTargets()},
		{"request line", badRequestLines()},
		{"CONNECT", badConnects()},
		{"chunks", badChunks()},
		{"size", tooLarge()},
	}
}

// requests are all ambiguous classes.
func requests() (all []ambiguous) {
	for _, g := range groups() {
		all = append(all, g.classes...)
	}
	return all
}

// codings are about Transfer-Encoding.
func codings() []ambiguous {
	const (
		both    = "RFC 9112 6.1: a message with both lengths is likely an attempt to smuggle"
		notLast = "RFC 9112 6.3: chunked is not the last coding, so the body's end is unknown"
		known   = "RFC 9112 7: one reader knows the word as chunked, another does not"
		twice   = "RFC 9112 6.1: chunked must not be applied twice"
		octet   = "RFC 9110 5.5: control octets in a value, which one reader trims and another does not"
		colon   = "RFC 9112 5.1: space before the colon makes another name of it, for some"
	)
	plain := "5\r\nhello\r\n0\r\n\r\n"
	return []ambiguous{
		{name: "length and chunked", wire: lines("POST / HTTP/1.1", "Host: a", "Content-Length: 5", "Transfer-Encoding: chunked") + plain, why: both},
		{name: "chunked and length", wire: lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Content-Length: 5") + plain, why: both},
		{name: "chunked and length 0", wire: lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Content-Length: 0") + plain, why: both},
		{name: "length and identity", wire: post("Content-Length: 5", "Transfer-Encoding: identity"), why: both},
		{name: "coding identity", wire: coded(" identity"), why: notLast},
		{name: "coding xchunked", wire: coded(" xchunked"), why: known},
		{name: "coding x-chunked", wire: coded(" x-chunked"), why: known},
		{name: "coding chunkedx", wire: coded(" chunkedx"), why: known},
		{name: "coding chunk", wire: coded(" chunk"), why: known},
		{name: "coding gzip", wire: coded(" gzip"), why: notLast},
		{name: "coding gzip then chunked", wire: coded(" gzip, chunked"), why: "RFC 9112 6.1: a coding that is not implemented", status: 501},
		{name: "coding chunked then gzip", wire: coded(" chunked, gzip"), why: notLast},
		{name: "coding chunked then identity", wire: coded(" chunked, identity"), why: notLast},
		{name: "coding identity then chunked", wire: coded(" identity, chunked"), why: "RFC 9112 7: identity is no coding any more", status: 501},
		{name: "coding chunked twice in a list", wire: coded(" chunked, chunked"), why: twice},
		{name: "coding chunked in two fields", wire: coded(" chunked\r\nTransfer-Encoding: chunked"), why: twice},
		{name: "coding chunked, then a field of identity", wire: coded(" chunked\r\nTransfer-Encoding: identity"), why: notLast},
		{name: "coding identity, then a field of chunked", wire: coded(" identity\r\nTransfer-Encoding: chunked"), why: "RFC 9110 5.3: one reader takes the first field, another joins both"},
		{name: "coding empty", wire: coded(""), why: "RFC 9112 6.1: no coding is named"},
		{name: "coding chunked with a parameter", wire: coded(" chunked;q=1"), why: "RFC 9112 7.1: chunked has no parameters"},
		{name: "coding chunked, comma behind", wire: coded(" chunked,"), why: "RFC 9110 5.6.1: an empty element, as last one for some"},
		{name: "coding chunked, comma before", wire: coded(" ,chunked"), why: "RFC 9110 5.6.1: an empty element, as first one for some"},
		{name: "coding chunked in quotes", wire: coded(` "chunked"`), why: known},
		{name: "coding chunked after a vertical tab", wire: coded(" \vchunked"), why: octet},
		{name: "coding chunked before a vertical tab", wire: coded(" chunked\v"), why: octet},
		{name: "coding chunked after a form feed", wire: coded(" \fchunked"), why: octet},
		{name: "coding chunked before NUL", wire: coded(" chunked\x00"), why: octet},
		{name: "coding chunked before a no-break space", wire: coded(" chunked\xa0"), why: "RFC 9110 5.6.3: white space for some, not here"},
		{name: "coding with a space within", wire: coded(" chun ked"), why: known},
		{name: "coding in a folded line", wire: coded("\r\n chunked"), why: "RFC 9112 5.2: some join the lines, some end the field"},
		{name: "coding behind a bare LF", wire: coded("\n chunked"), why: "RFC 9112 2.2: a line end for some"},
		{name: "coding in HTTP/1.0", wire: lines("POST / HTTP/1.0", "Host: a", "Transfer-Encoding: chunked") + plain, why: "RFC 9112 6.1: not defined in HTTP/1.0, the framing is faulty"},
		{name: "coding in HTTP/1.0 kept alive", wire: lines("POST / HTTP/1.0", "Host: a", "Connection: keep-alive", "Transfer-Encoding: chunked") + plain, why: "RFC 9112 6.1: not defined in HTTP/1.0, and what follows is read on"},
		{name: "coding with a space before the colon", wire: lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding : chunked") + plain, why: colon},
		{name: "coding with a space before the name", wire: lines("POST / HTTP/1.1", "Host: a", " Transfer-Encoding: chunked") + plain, why: "RFC 9112 5.2: part of the line before, for some"},
		{name: "coding hidden by a bare CR", wire: lines("POST / HTTP/1.1", "Host: a", "X: y\rTransfer-Encoding: chunked") + plain, why: "RFC 9112 2.2: a line end for some"},
		{name: "coding hidden by a bare LF", wire: lines("POST / HTTP/1.1", "Host: a", "X: y\nTransfer-Encoding: chunked") + plain, why: "RFC 9112 2.2: a line end for some"},
		{name: "coding whose name ends in NUL", wire: lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding\x00: chunked") + plain, why: "RFC 9110 5.1: the name ends there, for some"},
		{name: "coding with another hyphen", wire: lines("POST / HTTP/1.1", "Host: a", "Transfer\xe2\x80\x90Encoding: chunked") + plain, why: "RFC 9110 5.1: folded to ASCII by some"},
	}
}

// lengths are about Content-Length.
func lengths() []ambiguous {
	const (
		number = "RFC 9110 8.6: 1*DIGIT, which number parsers take more widely"
		differ = "RFC 9112 6.3: one reader takes the first, another the last"
		over   = "RFC 9110 8.6: more than 63 bits wrap around in some readers"
		octet  = "RFC 9110 5.5: trimmed by some, the end of the value for others"
	)
	return []ambiguous{
		{name: "lengths that differ", wire: post("Content-Length: 5", "Content-Length: 6"), why: differ},
		{name: "lengths 0 and another", wire: post("Content-Length: 0", "Content-Length: 5"), why: differ},
		{name: "lengths of one number written in two ways", wire: post("Content-Length: 5", "Content-Length: 05"), why: "RFC 9110 8.6: octal for some"},
		{name: "lengths, one of them empty", wire: post("Content-Length:", "Content-Length: 5"), why: differ},
		{name: "length in a list of equals", wire: counted(" 5, 5"), why: "RFC 9112 6.3: may be refused; number parsers end at the comma"},
		{name: "length in a list of others", wire: counted(" 5, 6"), why: differ},
		{name: "length with a comma behind", wire: counted(" 5,"), why: number},
		{name: "length with plus", wire: counted(" +5"), why: number},
		{name: "length with minus", wire: counted(" -5"), why: number},
		{name: "length minus zero", wire: counted(" -0"), why: number},
		{name: "length in hexadecimal", wire: counted(" 0x5"), why: number},
		{name: "length with an underscore", wire: counted(" 0_5"), why: number},
		{name: "length with a space within", wire: counted(" 5 0"), why: number},
		{name: "length with a fraction", wire: counted(" 5.0"), why: number},
		{name: "length with an exponent", wire: counted(" 5e0"), why: number},
		{name: "length in quotes", wire: counted(` "5"`), why: number},
		{name: "length with a parameter", wire: counted(" 5;a"), why: number},
		{name: "length empty", wire: counted(""), why: number},
		{name: "length in words", wire: counted(" five"), why: number},
		{name: "length in other digits", wire: counted(" \xd9\xa5"), why: "RFC 9110 8.6: DIGIT is ASCII; Unicode knows more digits"},
		{name: "length over 63 bits", wire: counted(" 9223372036854775808"), why: over},
		{name: "length over 64 bits", wire: counted(" 18446744073709551621"), why: over},
		{name: "length of a hundred digits", wire: counted(" " + strings.Repeat("9", 100)), why: over},
		{name: "length after a vertical tab", wire: counted(" \v5"), why: octet},
		{name: "length before NUL", wire: counted(" 5\x00"), why: octet},
		{name: "length in a folded line", wire: counted("\r\n 5"), why: "RFC 9112 5.2: some join the lines, some end the field"},
		{name: "length with a tab before the colon", wire: post("Content-Length\t: 5"), why: "RFC 9112 5.1: space before the colon makes another name of it, for some"},
	}
}

// brokenLines are about where lines end.
func brokenLines() []ambiguous {
	const (
		fold = "RFC 9112 5.2: obsolete folding, joined by some"
		lf   = "RFC 9112 2.2: a line end for some"
		cr   = "RFC 9112 2.2: a bare CR is a line end for some, white space for others"
	)
	return []ambiguous{
		{name: "value folded with a space", wire: get("X: 1", " 2"), why: fold},
		{name: "value folded with a tab", wire: get("X: 1", "\t2"), why: fold},
		{name: "line of white space only", wire: get("X: 1", " "), why: "RFC 9112 5.2: the end of the head for some"},
		{name: "Host folded", wire: lines("GET / HTTP/1.1", "Host:", " a"), why: fold},
		{name: "space before the first field", wire: lines("GET / HTTP/1.1", " Host: a"), why: "RFC 9112 2.2: white space between start line and fields"},
		{name: "bare LF after the request line", wire: "GET / HTTP/1.1\nHost: a\r\n\r\n", why: lf},
		{name: "bare LF after a field", wire: "GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n", why: lf},
		{name: "bare LF as the head's end", wire: "GET / HTTP/1.1\r\nHost: a\r\n\n", why: lf},
		{name: "bare LF everywhere", wire: "GET / HTTP/1.1\nHost: a\n\n", why: lf},
		{name: "bare LF first", wire: "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", why: lf},
		{name: "LF before CR", wire: "GET / HTTP/1.1\n\rHost: a\n\r\n\r", why: lf},
		{name: "bare CR in a value", wire: get("X: 1\r2"), why: cr},
		{name: "bare CR before a name", wire: get("\rX: 1"), why: cr},
		{name: "bare CR in the request line", wire: "GET / HTTP/1.1\rHost: a\r\n\r\n", why: cr},
		{name: "bare CR as the head's end", wire: "GET / HTTP/1.1\r\nHost: a\r\n\r\rX: 1\r\n\r\n", why: cr},
		{name: "two CR before LF", wire: "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", why: cr},
		{name: "two CR after a field", wire: get("X: 1\r"), why: cr},
		{name: "two empty lines first", wire: "\r\n\r\n" + get(), why: "RFC 9112 2.2: one is ignored; two may end a message that was taken for empty"},
		{name: "line of a space first", wire: " \r\n" + get(), why: "RFC 9112 2.2: not an empty line"},
	}
}

// badFields are about names and values.
func badFields() []ambiguous {
	const (
		octet = "RFC 9110 5.5: CR, LF and NUL are dangerous, other control octets are line ends for some"
		token = "RFC 9110 5.1: a name is a token; others cut, fold or ignore it"
	)
	return []ambiguous{
		{name: "NUL in a value", wire: get("X: 1\x002"), why: octet},
		{name: "NUL in a name", wire: get("X\x00Y: 1"), why: token},
		{name: "DEL in a value", wire: get("X: \x7f"), why: octet},
		{name: "escape in a value", wire: get("X: \x1b[0m"), why: octet},
		{name: "vertical tab in a value", wire: get("X: 1\v2"), why: octet},
		{name: "form feed in a value", wire: get("X: 1\f2"), why: octet},
		{name: "backspace in a value", wire: get("X: 1\b2"), why: octet},
		{name: "file separator in a value", wire: get("X: 1\x1c2"), why: octet},
		{name: "name empty", wire: get(": 1"), why: token},
		{name: "line without colon", wire: get("X"), why: "RFC 9112 5: a field line has a colon"},
		{name: "space before the colon", wire: get("X : 1"), why: "RFC 9112 5.1: must be refused with 400"},
		{name: "tab before the colon", wire: get("X\t: 1"), why: "RFC 9112 5.1: must be refused with 400"},
		{name: "vertical tab before the colon", wire: get("X\v: 1"), why: "RFC 9112 5.1: white space for some"},
		{name: "space within a name", wire: get("X Y: 1"), why: token},
		{name: "slash in a name", wire: get("X/Y: 1"), why: token},
		{name: "brace in a name", wire: get("{X}: 1"), why: token},
		{name: "bracket in a name", wire: get("X[1]: 1"), why: token},
		{name: "quote in a name", wire: get(`"X": 1`), why: token},
		{name: "parenthesis in a name", wire: get("X(y): 1"), why: token},
		{name: "at sign in a name", wire: get("X@Y: 1"), why: token},
		{name: "equals sign in a name", wire: get("X=Y: 1"), why: token},
		{name: "comma in a name", wire: get("X,Y: 1"), why: token},
		{name: "semicolon in a name", wire: get("X;Y: 1"), why: token},
		{name: "backslash in a name", wire: get(`X\Y: 1`), why: token},
		{name: "control octet in a name", wire: get("X\x01: 1"), why: token},
		{name: "UTF-8 in a name", wire: get("X\xc3\xa9: 1"), why: token},
		{name: "Latin-1 in a name", wire: get("X\xe9: 1"), why: token},
	}
}
