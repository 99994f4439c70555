package http1_test

import (
	"errors"
	"testing"

	"github.com/truepacs/balancer/dataplane/http1"
)

func TestResponseFraming(t *testing.T) {
	length := func(n int64) http1.Framing { return http1.Framing{Kind: http1.Length, Length: n} }
	kind := func(k http1.BodyKind) http1.Framing { return http1.Framing{Kind: k} }
	for name, tc := range map[string]struct {
		method, in string
		want       http1.Framing
		keep       bool
		misframed  bool
	}{
		"length":                    {"GET", request("HTTP/1.1 200 OK", "Content-Length: 5"), length(5), true, false},
		"length zero":               {"GET", request("HTTP/1.1 200 OK", "Content-Length: 0"), kind(http1.NoBody), true, false},
		"chunked":                   {"GET", request("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), kind(http1.Chunked), true, false},
		"until close":               {"GET", request("HTTP/1.1 200 OK"), kind(http1.UntilClose), true, false},
		"until close 1.0":           {"GET", request("HTTP/1.0 200 OK"), kind(http1.UntilClose), false, false},
		"keep-alive 1.0":            {"GET", request("HTTP/1.0 200 OK", "Connection: keep-alive", "Content-Length: 1"), length(1), true, false},
		"close":                     {"GET", request("HTTP/1.1 200 OK", "Connection: close", "Content-Length: 1"), length(1), false, false},
		"no reason":                 {"GET", request("HTTP/1.1 200", "Content-Length: 1"), length(1), true, false},
		"empty reason":              {"GET", request("HTTP/1.1 200 ", "Content-Length: 1"), length(1), true, false},
		"HEAD with length":          {"HEAD", request("HTTP/1.1 200 OK", "Content-Length: 5"), kind(http1.NoBody), true, false},
		"HEAD chunked":              {"HEAD", request("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), kind(http1.NoBody), true, false},
		"HEAD bare":                 {"HEAD", request("HTTP/1.1 200 OK"), kind(http1.NoBody), true, false},
		"head in lower case":        {"head", request("HTTP/1.1 200 OK", "Content-Length: 5"), length(5), true, false},
		"100":                       {"POST", request("HTTP/1.1 100 Continue"), kind(http1.NoBody), true, false},
		"103":                       {"GET", request("HTTP/1.1 103 Early Hints", "Link: x"), kind(http1.NoBody), true, false},
		"100 with length":           {"POST", request("HTTP/1.1 100 Continue", "Content-Length: 5"), kind(http1.NoBody), true, true},
		"101":                       {"GET", request("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: upgrade"), kind(http1.Tunnel), true, false},
		"204":                       {"GET", request("HTTP/1.1 204 No Content"), kind(http1.NoBody), true, false},
		"204 with zero length":      {"GET", request("HTTP/1.1 204 No Content", "Content-Length: 0"), kind(http1.NoBody), true, false},
		"204 with length":           {"GET", request("HTTP/1.1 204 No Content", "Content-Length: 5"), kind(http1.NoBody), true, true},
		"204 chunked":               {"GET", request("HTTP/1.1 204 No Content", "Transfer-Encoding: chunked"), kind(http1.NoBody), true, true},
		"304 with length":           {"GET", request("HTTP/1.1 304 Not Modified", "Content-Length: 5"), kind(http1.NoBody), true, false},
		"CONNECT 200":               {"CONNECT", request("HTTP/1.1 200 OK", "Content-Length: 5"), kind(http1.Tunnel), true, false},
		"CONNECT 403":               {"CONNECT", request("HTTP/1.1 403 No", "Content-Length: 5"), length(5), true, false},
		"status of own":             {"GET", request("HTTP/1.1 799 Own", "Content-Length: 5"), length(5), true, false},
		"length twice the same":     {"GET", request("HTTP/1.1 200 OK", "Content-Length: 5", "Content-Length: 5"), length(5), true, false},
		"reason of other alphabets": {"GET", request("HTTP/1.1 404 \xc3\xa9", "Content-Length: 5"), length(5), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			var r http1.Response
			n, err := r.Parse([]byte(tc.in+"rest"), http1.Limits{})
			if err != nil || n != len(tc.in) {
				t.Fatalf("%d of %d bytes, error %v", n, len(tc.in), err)
			}
			if got := r.Framing([]byte(tc.method)); got != tc.want {
				t.Errorf("framing %v, want %v", got, tc.want)
			}
			if r.KeepAlive() != tc.keep || r.Misframed() != tc.misframed {
				t.Errorf("keep %v misframed %v, want %v %v", r.KeepAlive(), r.Misframed(), tc.keep, tc.misframed)
			}
		})
	}
}

func TestGarbageResponsesAreRefused(t *testing.T) {
	for name, in := range map[string]string{
		"no version":         request("200 OK"),
		"HTTP/2":             request("HTTP/2.0 200 OK"),
		"HTTP/1.1 only":      request("HTTP/1.1"),
		"two digits":         request("HTTP/1.1 20 OK"),
		"four digits":        request("HTTP/1.1 2000 OK"),
		"below 100":          request("HTTP/1.1 099 OK"),
		"letters":            request("HTTP/1.1 abc OK"),
		"tab":                request("HTTP/1.1\t200 OK"),
		"control in reason":  request("HTTP/1.1 200 O\x01K"),
		"bare LF":            "HTTP/1.1 200 OK\nContent-Length: 1\n\n",
		"length and chunked": request("HTTP/1.1 200 OK", "Content-Length: 5", "Transfer-Encoding: chunked"),
		"gzip coding":        request("HTTP/1.1 200 OK", "Transfer-Encoding: gzip"),
		"chunked in 1.0":     request("HTTP/1.0 200 OK", "Transfer-Encoding: chunked"),
		"lengths differ":     request("HTTP/1.1 200 OK", "Content-Length: 5", "Content-Length: 6"),
		"folded":             request("HTTP/1.1 200 OK", "X: 1", " 2"),
		"space before colon": request("HTTP/1.1 200 OK", "X : 1"),
		"SSH":                "SSH-2.0-OpenSSH_9.2p1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var r http1.Response
			n, err := r.Parse([]byte(in), http1.Limits{})
			var refused *http1.Error
			if !errors.As(err, &refused) {
				t.Errorf("accepted %d bytes, error %v", n, err)
			}
		})
	}
}

func TestAppend(t *testing.T) {
	b := http1.AppendRequestLine(nil, []byte("GET"), []byte("/x"))
	b = http1.AppendField(b, "Host", "a")
	b = http1.AppendField(b, []byte("X"), []byte("y"))
	b = http1.AppendEnd(http1.AppendLength(b, 12))
	if want := request("GET /x HTTP/1.1", "Host: a", "X: y", "Content-Length: 12"); string(b) != want {
		t.Errorf("request %q, want %q", b, want)
	}
	b = http1.AppendEnd(http1.AppendStatusLine(nil, 204, []byte("No Content")))
	if want := request("HTTP/1.1 204 No Content"); string(b) != want {
		t.Errorf("response %q, want %q", b, want)
	}
	b = http1.AppendLastChunk(http1.AppendChunk(http1.AppendChunk(nil, nil), []byte("0123456789abcdef")), []byte("T: 1\r\n"))
	if want := "10\r\n0123456789abcdef\r\n0\r\nT: 1\r\n\r\n"; string(b) != want {
		t.Errorf("chunks %q, want %q", b, want)
	}
}
