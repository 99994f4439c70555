package web

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/peers"
	"github.com/truepacs/balancer/e2e/suite"
)

// wanted is what a server does with a request whose client waits for 100 (Continue), by the first element of the path.
var wanted = map[string]struct {
	// interim and final are what it sends before and without having read of the content; after is what it sends then.
	interim, final, after string
	// status is what the client is told in the end, first what it is told first.
	status, first int
	// sends: the client sends its content, though only after a time in which it is told nothing if first is 0.
	sends bool
}{
	"continued":  {interim: "HTTP/1.1 100 Continue\r\n\r\n", after: "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", first: 100, status: 201, sends: true},
	"silent":     {after: "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", status: 201, sends: true},
	"failed":     {final: "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n", first: 417, status: 417},
	"forbidden":  {final: "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n", first: 403, status: 403},
	"too-large":  {final: "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", first: 413, status: 413},
	"answered":   {final: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", first: 200, status: 200},
	"redirected": {final: "HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", first: 307, status: 307},
}

// declared is the length of content that is announced, and sent only where it is small.
const declared = 5 << 30

// TestRefusedContentIsNotSent has servers refuse, want or ignore content that clients announce with Expect: 100-continue
// (RFC 9110 section 10.1.1). The witnesses are both sockets: the server's has got no byte behind the head of a request that it
// refuses, and the client's has been told so before it sent one.
func TestRefusedContentIsNotSent(t *testing.T) {
	t.Parallel()
	in := newHost(t)
	a := newAuthority(t)
	s := newReluctant(t, in)
	p := peers.Start(t, in, peers.TruePACS, front(web("web", 80, s.address), a.web("secure", 443, s.address)))
	count := 0
	for _, e := range []entry{{p, "web", nil, in}, {p, "secure", a.trusting(t), in}} {
		for _, framing := range []string{"length", "chunked"} {
			for act := range wanted {
				count++
				t.Run(strings.Join([]string{act, framing, e.listener}, " "), func(t *testing.T) {
					s.try(t, e.dial(t), act, "/"+strings.Join([]string{act, framing, e.listener}, "/"))
				})
			}
		}
	}
	suite.Verdict(t, "%d ways of Expect: 100-continue, with length and chunked, in clear and TLS: not a byte of content reached a server that refused, none was asked for by the proxy", count)
}

// try is a client. Each has a path of its own.
func (s *reluctant) try(t *testing.T, c net.Conn, act, path string) {
	t.Helper()
	want := wanted[act]
	length, content := fmt.Sprintf("Content-Length: %d", declared), ""
	if want.sends {
		length, content = "Content-Length: 5", "hello"
	}
	if strings.Contains(path, "chunked") {
		length = "Transfer-Encoding: chunked"
		content = strings.Replace(content, "hello", "5\r\nhello\r\n0\r\n\r\n", 1)
	}
	send(t, c, lines("PUT "+path+" HTTP/1.1", "Host: "+host, length, "Expect: 100-continue"))
	r := bufio.NewReader(c)
	if want.first == 0 {
		toldNothing(t, c, r)
	} else if first := status(t, c, r); first != want.first {
		t.Errorf("the client was told %d first, want %d", first, want.first)
	}
	if got := s.got(path); got != "" {
		t.Errorf("the server has got %q behind the head", got)
	}
	if !want.sends {
		s.insist(t, c, r, path)
		return
	}
	send(t, c, content)
	if last := status(t, c, r); last != want.status {
		t.Errorf("the client was told %d in the end, want %d", last, want.status)
	}
	if got := s.got(path); got != content && got != "hello" {
		t.Errorf("the server has got content %q, want %q", got, content)
	}
	// The connection goes on.
	send(t, c, lines("GET "+checkPath+" HTTP/1.1", "Host: "+host))
	if next := status(t, c, r); next != 200 {
		t.Errorf("the next request was told %d", next)
	}
}

// insist is a client that sends content although it was refused. It goes nowhere, and the connection ends: nobody could tell
// content from a next request.
func (s *reluctant) insist(t *testing.T, c net.Conn, r *bufio.Reader, path string) {
	t.Helper()
	_, _ = io.WriteString(c, strings.Repeat("x", 64<<10)+trailing)
	_ = c.SetReadDeadline(time.Now().Add(patience))
	rest, err := io.ReadAll(r)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() || bytes.Contains(rest, []byte("HTTP/")) {
		t.Errorf("after a refusal the connection goes on: %q, %v", rest, err)
	}
	until(t, "the server's connection ends", func() bool { return s.over(path) })
	if got := s.got(path); got != "" {
		t.Errorf("the server has got %d bytes of refused content", len(got))
	}
}

// toldNothing fails if a client that waits is told anything.
func toldNothing(t *testing.T, c net.Conn, r *bufio.Reader) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	b, err := r.ReadByte()
	if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("the client was told something that begins with %q, %v", b, err)
	}
	_ = c.SetReadDeadline(time.Time{})
}

// status reads a head, and the content of a final answer.
func status(t *testing.T, c net.Conn, r *bufio.Reader) int {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	if response.StatusCode >= 200 {
		_, err = io.Copy(io.Discard, response.Body)
		suite.Must(t, err)
	}
	return response.StatusCode
}

// reluctant is a server that may not want content. It keeps what comes behind heads, by path.
type reluctant struct {
	address netip.AddrPort
	mu      sync.Mutex
	behind  map[string]string
	ended   map[string]bool
}

func newReluctant(t *testing.T, in peers.Host) *reluctant {
	t.Helper()
	l := listen(t, in, server+":0")
	s := &reluctant{address: l.Addr().(*net.TCPAddr).AddrPort(), behind: map[string]string{}, ended: map[string]bool{}}
	var all sync.WaitGroup
	all.Go(func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			all.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() }) // the front has ended, and with it the connections
	return s
}

// got is what came behind the head of a request.
func (s *reluctant) got(path string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behind[path]
}

// over tells whether the connection has ended by which a request came that was refused.
func (s *reluctant) over(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended[path]
}

// serve reads heads and answers as the path wants it. After a refusal it reads on, and keeps what comes.
func (s *reluctant) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		act, _, _ := strings.Cut(strings.TrimPrefix(request.URL.Path, "/"), "/")
		want, known := wanted[act]
		switch {
		case !known:
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		case request.Header.Get("Expect") != "100-continue":
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		case want.final != "":
			_, _ = io.WriteString(c, want.final)
			_, _ = io.Copy(keeper{s, request.URL.Path}, r)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.ended[request.URL.Path] = true
			return
		default:
			_, _ = io.WriteString(c, want.interim)
			_, _ = io.Copy(keeper{s, request.URL.Path}, request.Body)
			_, _ = io.WriteString(c, want.after)
		}
	}
}

// keeper keeps what is written for a path.
type keeper struct {
	*reluctant
	path string
}

// Write implements io.Writer.
func (k keeper) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.behind[k.path] += string(p)
	return len(p), nil
}
