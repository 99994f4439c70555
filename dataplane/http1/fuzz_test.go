package http1_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/truepacs/balancer/dataplane/http1"
)

func seed(f *testing.F) {
	for _, tc := range valid {
		f.Add([]byte(tc.in))
	}
	for _, tc := range ambiguous {
		if len(tc.in) < 2000 {
			f.Add([]byte(tc.in))
		}
	}
}

// FuzzRequest checks that the verdict does not depend on how the bytes are cut, and that what is
// accepted reads the same after it has been written again.
func FuzzRequest(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		var whole, cut http1.Request
		n, err := whole.Parse(in, http1.Limits{})
		if n > len(in) || n > 0 && !bytes.HasSuffix(in[:n], []byte("\r\n\r\n")) {
			t.Fatalf("head of %d bytes", n)
		}
		m, errCut := parseInSteps(&cut, string(in), 3)
		if (err == nil) != (errCut == nil) || err == nil && m != n {
			t.Fatalf("whole: %d %v, in pieces: %d %v", n, err, m, errCut)
		}
		if n == 0 {
			return
		}
		again := http1.AppendRequestLine(nil, whole.Bytes(whole.Method), whole.Bytes(whole.Target))
		for _, fl := range whole.Fields() {
			again = http1.AppendField(again, whole.Bytes(fl.Name), whole.Bytes(fl.Value))
		}
		again = http1.AppendEnd(again)
		if whole.Minor == 0 {
			return
		}
		cut.Reset()
		if _, err := cut.Parse(again, http1.Limits{HeadBytes: 1 << 20}); err != nil {
			t.Fatalf("written again it is refused: %v\n%q", err, again)
		}
		if look(&cut) != look(&whole) {
			t.Fatalf("written again it reads differently: %v, was %v", look(&cut), look(&whole))
		}
	})
}

// FuzzResponse checks the same for responses.
func FuzzResponse(f *testing.F) {
	f.Add([]byte(request("HTTP/1.1 200 OK", "Content-Length: 5", "Connection: close")))
	f.Add([]byte(request("HTTP/1.0 404 Not Found", "Transfer-Encoding: chunked")))
	f.Add([]byte(request("HTTP/1.1 101 x", "Upgrade: websocket")))
	f.Fuzz(func(t *testing.T, in []byte) {
		var r, cut http1.Response
		n, err := r.Parse(in, http1.Limits{})
		m, errCut := 0, error(nil)
		for have := 1; have <= len(in) && m == 0 && errCut == nil; have++ {
			m, errCut = cut.Parse(in[:have], http1.Limits{})
		}
		if m != n || (err == nil) != (errCut == nil) {
			t.Fatalf("whole: %d %v, in pieces: %d %v", n, err, m, errCut)
		}
		if n > 0 && (r.Status < 100 || r.Status > 999 || r.Framing([]byte("GET")).Length < 0) {
			t.Fatalf("status %d, framing %v", r.Status, r.Framing([]byte("GET")))
		}
	})
}

// FuzzChunked checks that content and verdict do not depend on how the bytes are cut, and that
// what is accepted the standard library reads alike.
func FuzzChunked(f *testing.F) {
	f.Add([]byte("5;a=b\r\nhello\r\n0\r\nX: 1\r\n\r\n"), 1)
	f.Add([]byte("5\nhello\n0\n\n"), 3)
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		var whole, cut http1.ChunkDecoder
		body, n, err := decode(&whole, string(in), len(in)+1)
		got, m, errCut := decode(&cut, string(in), 1+step&63)
		if body != got || n != m || (err == nil) != (errCut == nil) || whole.Done() != cut.Done() {
			t.Fatalf("whole %q %d %v, in pieces %q %d %v", body, n, err, got, m, errCut)
		}
		if !whole.Done() {
			return
		}
		head := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		// The standard library refuses trailers longer than the reader's buffer.
		r := bufio.NewReaderSize(io.MultiReader(strings.NewReader(head), bytes.NewReader(in)), len(head)+len(in))
		req, err := http.ReadRequest(r)
		if err != nil {
			t.Fatal(err)
		}
		std, err := io.ReadAll(req.Body)
		if err != nil || string(std) != body {
			t.Fatalf("standard library reads %q (%v), we read %q", std, err, body)
		}
		if rest, _ := io.ReadAll(r); len(rest) != len(in)-n {
			t.Fatalf("standard library leaves %d bytes, we leave %d", len(rest), len(in)-n)
		}
	})
}

// FuzzAgainstNetHTTP checks that whatever we accept the standard library accepts, and reads as
// the same method, target, host, framing.
func FuzzAgainstNetHTTP(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		var r http1.Request
		n, err := r.Parse(in, http1.Limits{})
		if err != nil || n == 0 {
			return
		}
		br := bufio.NewReaderSize(bytes.NewReader(bytes.TrimPrefix(in, []byte("\r\n"))), 64<<10)
		std, err := http.ReadRequest(br)
		if err != nil {
			t.Fatalf("we accept what the standard library refuses: %v\n%q", err, in[:n])
		}
		got := look(&r)
		if got.Method != std.Method || got.Target != std.RequestURI || !strings.EqualFold(got.Authority, std.Host) {
			t.Fatalf("we read %v, standard library %q %q %q", got, std.Method, std.RequestURI, std.Host)
		}
		if want := framingOf(std); got.Body != want {
			t.Fatalf("we read framing %v, standard library %v", got.Body, want)
		}
		if got.Method != "CONNECT" && std.Close == got.Keep {
			t.Fatalf("we keep the connection: %v, standard library closes it: %v", got.Keep, std.Close)
		}
		if rest, _ := io.ReadAll(br); len(rest) != len(in)-n {
			t.Fatalf("standard library leaves %d bytes after the head, we leave %d", len(rest), len(in)-n)
		}
	})
}

func framingOf(std *http.Request) http1.Framing {
	switch {
	case len(std.TransferEncoding) > 0:
		return http1.Framing{Kind: http1.Chunked}
	case std.ContentLength > 0:
		return http1.Framing{Kind: http1.Length, Length: std.ContentLength}
	}
	return http1.Framing{}
}
