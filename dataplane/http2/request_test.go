package http2_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	xhttp2 "golang.org/x/net/http2"

	"github.com/truepacs/balancer/dataplane/http2"
)

// get are the pseudo-fields of a request that is in order.
var get = []string{":method", "GET", ":scheme", "https", ":authority", "pacs.example.org", ":path", "/"}

func and(fields ...string) []string { return slices.Concat(get, fields) }

// without returns the pseudo-fields with one replaced by what is given.
func without(name string, instead ...string) []string {
	i := slices.Index(get, name)
	return slices.Concat(get[:i], get[i+2:], instead)
}

// connect are the pseudo-fields of an extended CONNECT, and what is given.
func connect(fields ...string) []string {
	return append([]string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "pacs.example.org", ":path", "/ws"}, fields...)
}

// malformed are requests that RFC 9113 section 8 forbids, or that have no form in HTTP/1.1.
var malformed = map[string][]string{
	"no field at all":                     {},
	"no :method":                          without(":method"),
	"empty :method":                       without(":method", ":method", ""),
	":method is no token":                 without(":method", ":method", "GET /"),
	"no :scheme":                          without(":scheme"),
	"unknown :scheme":                     without(":scheme", ":scheme", "ftp"),
	"no :path":                            without(":path"),
	"empty :path":                         without(":path", ":path", ""),
	"relative :path":                      without(":path", ":path", "studies"),
	"absolute URI as :path":               without(":path", ":path", "https://pacs.example.org/"),
	"* for GET":                           without(":path", ":path", "*"),
	"space in :path":                      without(":path", ":path", "/a b"),
	"control octet in :path":              without(":path", ":path", "/a\tb"),
	"line end in :path":                   without(":path", ":path", "/ HTTP/1.1\r\nx: y"),
	"NUL in :path":                        without(":path", ":path", "/\x00"),
	"fragment in :path":                   without(":path", ":path", "/a#b"),
	"non-ASCII octet in :path":            without(":path", ":path", "/\xc3\xa4"),
	"cut percent-encoding in :path":       without(":path", ":path", "/a%2"),
	"wrong percent-encoding in :path":     without(":path", ":path", "/a%zz"),
	"neither :authority nor host":         without(":authority"),
	"empty :authority":                    without(":authority", ":authority", ""),
	"empty :authority beside host":        without(":authority", ":authority", "", "host", "pacs.example.org"),
	"user information in :authority":      without(":authority", ":authority", "user@pacs.example.org"),
	"path in :authority":                  without(":authority", ":authority", "pacs.example.org/x"),
	"space in :authority":                 without(":authority", ":authority", "pacs example.org"),
	"percent-encoding in :authority":      without(":authority", ":authority", "pacs%2eexample.org"),
	"port out of range":                   without(":authority", ":authority", "pacs.example.org:65536"),
	"port is no number":                   without(":authority", ":authority", "pacs.example.org:https"),
	"port without host":                   without(":authority", ":authority", ":443"),
	"two ports":                           without(":authority", ":authority", "pacs.example.org:1:2"),
	"IPv6 address without its end":        without(":authority", ":authority", "[2001:db8::1"),
	"IPv6 address with a zone":            without(":authority", ":authority", "[fe80::1%25eth0]"),
	"IPv4 address in brackets":            without(":authority", ":authority", "[192.0.2.1]"),
	"something after an IPv6 address":     without(":authority", ":authority", "[2001:db8::1]x"),
	"repeated :method":                    and(":method", "GET"),
	"repeated :path":                      and(":path", "/"),
	"repeated :authority":                 and(":authority", "pacs.example.org"),
	"unknown pseudo-field":                and(":version", "2"),
	":status in a request":                and(":status", "200"),
	"colon as name":                       and(":", "x"),
	"pseudo-field after other fields":     slices.Concat(get[:6], []string{"accept", "*/*"}, get[6:]),
	"upper case in a name":                and("Accept", "*/*"),
	"empty name":                          and("", "x"),
	"space in a name":                     and("a b", "x"),
	"colon in a name":                     and("a:b", "x"),
	"line end in a name":                  and("a\r\nb", "x"),
	"non-ASCII octet in a name":           and("\xc3\xa4", "x"),
	"name is no token":                    and("a(b", "x"),
	"NUL in a value":                      and("a", "x\x00y"),
	"CR in a value":                       and("a", "x\ry"),
	"LF in a value":                       and("a", "x\ny"),
	"control octet in a value":            and("a", "x\x01y"),
	"DEL in a value":                      and("a", "x\x7fy"),
	"space before a value":                and("a", " x"),
	"space after a value":                 and("a", "x "),
	"tab before a value":                  and("a", "\tx"),
	"only a space as value":               and("a", " "),
	"connection":                          and("connection", "close"),
	"proxy-connection":                    and("proxy-connection", "close"),
	"keep-alive":                          and("keep-alive", "timeout=5"),
	"transfer-encoding":                   and("transfer-encoding", "chunked"),
	"transfer-encoding identity":          and("transfer-encoding", "identity"),
	"upgrade":                             and("upgrade", "h2c"),
	"te gzip":                             and("te", "gzip"),
	"te trailers and more":                and("te", "trailers, gzip"),
	"host differs":                        and("host", "other.example.org"),
	"host has a port that differs":        and("host", "pacs.example.org:444"),
	"empty host":                          and("host", ""),
	"two hosts":                           and("host", "pacs.example.org", "host", "pacs.example.org"),
	"two hosts without :authority":        without(":authority", "host", "a", "host", "b"),
	"user information in host":            without(":authority", "host", "user@pacs.example.org"),
	"content-length with a sign":          and("content-length", "+0"),
	"negative content-length":             and("content-length", "-1"),
	"empty content-length":                and("content-length", ""),
	"list as content-length":              and("content-length", "0, 0"),
	"hexadecimal content-length":          and("content-length", "0x0"),
	"content-length of 2^63":              and("content-length", "9223372036854775808"),
	"content-length twice, different":     and("content-length", "0", "content-length", "1"),
	"content-length without content":      and("content-length", "1"),
	"CONNECT with :path":                  {":method", "CONNECT", ":authority", "a:443", ":path", "/"},
	"CONNECT with :scheme":                {":method", "CONNECT", ":authority", "a:443", ":scheme", "https"},
	"CONNECT without :authority":          {":method", "CONNECT"},
	"CONNECT without port":                {":method", "CONNECT", ":authority", "a"},
	"CONNECT with content-length":         {":method", "CONNECT", ":authority", "a:443", "content-length", "0"},
	":protocol without CONNECT":           and(":protocol", "websocket"),
	"extended CONNECT without :path":      connect()[:8],
	"extended CONNECT without :scheme":    slices.Concat(connect()[:4], connect()[6:]),
	"extended CONNECT without :authority": slices.Concat(connect()[:6], connect()[8:], []string{"host", "pacs.example.org"}),
	"extended CONNECT, empty :protocol":   slices.Concat([]string{":protocol", ""}, connect()[:2], connect()[4:]),
	"extended CONNECT, wrong :protocol":   slices.Concat([]string{":protocol", "a b"}, connect()[:2], connect()[4:]),
	"extended CONNECT, content-length":    connect("content-length", "0"),
}

func TestMalformedRequests(t *testing.T) {
	for name, fields := range malformed {
		t.Run(name, func(t *testing.T) {
			p := connected(t, http2.Config{ExtendedConnect: true})
			p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.fields(fields...), EndStream: true, EndHeaders: true})
			p.request(3, "GET", true)
			p.feed()
			if diff := cmp.Diff([]string{"request 3 GET / end=true"}, p.h.take()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{"RST_STREAM 1 PROTOCOL_ERROR"}, p.take()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRequests has requests that are in order, and what the handler sees.
func TestRequests(t *testing.T) {
	type request = http2.Request
	https := func(r request) request {
		r.Scheme, r.Length = "https", -1
		if r.Method == "" {
			r.Method = "GET"
		}
		if r.Authority == "" {
			r.Authority = "pacs.example.org"
		}
		if r.Path == "" {
			r.Path = "/"
		}
		return r
	}
	length := https(request{Fields: []http2.Field{{"content-length", "0"}}})
	length.Length = 0
	for name, tc := range map[string]struct {
		fields []string
		want   request
	}{
		"plain":                  {get, https(request{})},
		"any method":             {without(":method", ":method", "M-SEARCH"), https(request{Method: "M-SEARCH"})},
		"query":                  {without(":path", ":path", "/a?b=%zz&[c]={d}|"), https(request{Path: "/a?b=%zz&[c]={d}|"})},
		"asterisk":               {append(without(":path", ":path", "*")[2:], ":method", "OPTIONS"), https(request{Method: "OPTIONS", Path: "*"})},
		"IPv6 and port":          {without(":authority", ":authority", "[2001:db8::1]:8443"), https(request{Authority: "[2001:db8::1]:8443"})},
		"host instead":           {without(":authority", "host", "ris.example.org"), https(request{Authority: "ris.example.org"})},
		"host in another case":   {and("host", "PACS.example.org"), https(request{})},
		"te trailers":            {and("te", "trailers"), https(request{Fields: []http2.Field{{"te", "trailers"}}})},
		"empty value":            {and("a", ""), https(request{Fields: []http2.Field{{"a", ""}}})},
		"spaces inside, UTF-8":   {and("a", "x \t\xc3\xa4"), https(request{Fields: []http2.Field{{"a", "x \t\xc3\xa4"}}})},
		"cookies":                {and("cookie", "a=b", "x", "y", "cookie", "c=d"), https(request{Fields: []http2.Field{{"cookie", "a=b"}, {"x", "y"}, {"cookie", "c=d"}}})},
		"content-length twice":   {and("content-length", "0", "content-length", "0"), length},
		"CONNECT":                {[]string{":method", "CONNECT", ":authority", "a:443"}, request{Method: "CONNECT", Authority: "a:443", Length: -1}},
		"extended CONNECT":       {connect(), https(request{Method: "CONNECT", Protocol: "websocket", Path: "/ws"})},
		"pseudo-fields shuffled": {[]string{":path", "/", ":authority", "pacs.example.org", ":method", "GET", ":scheme", "https"}, https(request{})},
	} {
		t.Run(name, func(t *testing.T) {
			p := connected(t, http2.Config{ExtendedConnect: true})
			var got request
			var cookie string
			p.h.request = func(_ *http2.Stream, r *http2.Request, _ bool) {
				got, cookie = *r, string(r.AppendCookie(nil))
				got.Fields = slices.Clone(r.Fields)
			}
			p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.fields(tc.fields...), EndStream: true, EndHeaders: true})
			p.feed()
			if len(tc.want.Fields) == 0 {
				got.Fields = nil
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if name == "cookies" && cookie != "a=b; c=d" {
				t.Errorf("cookie: %q", cookie)
			}
		})
	}
}

// TestExtendedConnectIsAsked: what was not offered must not be used, RFC 8441 section 3.
func TestExtendedConnectIsAsked(t *testing.T) {
	p := connected(t, http2.Config{})
	p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.fields(connect()...), EndHeaders: true})
	p.feed()
	if diff := cmp.Diff([]string{"RST_STREAM 1 PROTOCOL_ERROR"}, p.take()); diff != "" {
		t.Error(diff)
	}
}

// TestContentLength: content has the length that was said, RFC 9113 section 8.1.1.
func TestContentLength(t *testing.T) {
	data := func(n int, end bool) func(p *peer) {
		return func(p *peer) { p.WriteData(1, end, make([]byte, n)) }
	}
	trailers := func(p *peer) {
		p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.fields("x-sum", "1"), EndStream: true, EndHeaders: true})
	}
	padded := func(p *peer) { p.WriteDataPadded(1, true, make([]byte, 4), make([]byte, 9)) }
	bad := "RST_STREAM 1 PROTOCOL_ERROR"
	for name, tc := range map[string]struct {
		length string
		sent   []func(p *peer)
		want   []string // nil: in order
	}{
		"equal":                     {"4", []func(*peer){data(4, true)}, nil},
		"equal in two frames":       {"4", []func(*peer){data(3, false), data(1, true)}, nil},
		"equal, end by itself":      {"4", []func(*peer){data(4, false), data(0, true)}, nil},
		"equal, padded":             {"4", []func(*peer){padded}, nil},
		"equal, trailers":           {"4", []func(*peer){data(4, false), trailers}, nil},
		"nothing, end by itself":    {"0", []func(*peer){data(0, true)}, nil},
		"too much":                  {"4", []func(*peer){data(5, true)}, []string{bad}},
		"too much before the end":   {"4", []func(*peer){data(4, false), data(1, false)}, []string{bad}},
		"too little":                {"4", []func(*peer){data(3, true)}, []string{bad}},
		"too little, trailers":      {"4", []func(*peer){data(3, false), trailers}, []string{bad}},
		"too little, end by itself": {"4", []func(*peer){data(3, false), data(0, true)}, []string{bad}},
		"something for nothing":     {"0", []func(*peer){data(1, true)}, []string{bad}},
	} {
		t.Run(name, func(t *testing.T) {
			p := connected(t, http2.Config{})
			p.request(1, "PUT", false, "content-length", tc.length)
			for _, f := range tc.sent {
				f(p)
			}
			p.feed()
			if diff := cmp.Diff(tc.want, p.take()); diff != "" {
				t.Error(diff)
			}
			events := strings.Join(p.h.take(), "; ")
			if wrong := strings.Contains(events, "reset 1 PROTOCOL_ERROR"); wrong != (tc.want != nil) {
				t.Errorf("handler was told: %s", events)
			}
			if complete := strings.Contains(events, "end=true") || strings.Contains(events, "trailers"); complete == (tc.want != nil) {
				t.Errorf("handler was told: %s", events)
			}
		})
	}
}

// TestTrailers: what may come after the content, RFC 9113 section 8.1.
func TestTrailers(t *testing.T) {
	for name, tc := range map[string]struct {
		fields []string
		end    bool
		want   string
	}{
		"in order":            {[]string{"x-sum", "1"}, true, "trailers 1 [{x-sum 1}]"},
		"none":                {nil, true, "trailers 1 []"},
		"without the end":     {[]string{"x-sum", "1"}, false, "reset 1 PROTOCOL_ERROR"},
		"pseudo-field":        {[]string{":path", "/"}, true, "reset 1 PROTOCOL_ERROR"},
		"upper case":          {[]string{"X-Sum", "1"}, true, "reset 1 PROTOCOL_ERROR"},
		"connection-specific": {[]string{"transfer-encoding", "chunked"}, true, "reset 1 PROTOCOL_ERROR"},
		"too large":           {[]string{"x-sum", strings.Repeat("1", 2000)}, true, "reset 1 ENHANCE_YOUR_CALM"},
	} {
		t.Run(name, func(t *testing.T) {
			p := connected(t, http2.Config{MaxFields: 1000})
			p.request(1, "PUT", false)
			p.feed()
			p.h.take()
			p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.fields(tc.fields...), EndStream: tc.end, EndHeaders: true})
			p.feed()
			if diff := cmp.Diff([]string{tc.want}, p.h.take()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestTunnelHasNoTrailers, RFC 9113 section 8.5.
func TestTunnelHasNoTrailers(t *testing.T) {
	p := connected(t, http2.Config{ExtendedConnect: true})
	p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.fields(connect()...), EndHeaders: true})
	p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.fields("x-sum", "1"), EndStream: true, EndHeaders: true})
	p.feed()
	same(t, "events", []string{"request 1 CONNECT /ws end=false", "reset 1 PROTOCOL_ERROR"}, p.h.take())
}

// TestTooLarge: the table of HPACK stays right while a request is answered with 431.
func TestTooLarge(t *testing.T) {
	p := connected(t, http2.Config{MaxFields: 1000})
	var large []bool
	p.h.request = func(s *http2.Stream, r *http2.Request, _ bool) {
		large = append(large, r.TooLarge)
		if r.TooLarge && len(r.Fields) > 1 {
			t.Errorf("fields after the limit: %v", r.Fields)
		}
		if r.TooLarge {
			s.Respond(431, nil, true)
		}
	}
	p.request(1, "GET", true, "a", "b", "a", strings.Repeat("x", 2000), "b", "after")
	p.request(3, "GET", true, "b", "after") // refers to what came after the limit
	p.feed()
	if diff := cmp.Diff([]bool{true, false}, large); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"HEADERS 1 :status=431 end"}, p.take()); diff != "" {
		t.Error(diff)
	}
	p.request(5, "GET", true, "a", strings.Repeat("x", 16000))
	p.feed()
	if p.feedErr != nil {
		t.Errorf("block of one frame: %v", p.feedErr)
	}
}
