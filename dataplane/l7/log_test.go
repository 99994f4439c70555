package l7_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"

	"github.com/truepacs/balancer/dataplane/l7"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/testutil/loopback"
	"github.com/truepacs/balancer/dataplane/testutil/printed"
)

// The two letters are HAProxy's (configuration manual 8.5).
func TestTerminationCodes(t *testing.T) {
	answer := func(s string) func(*testing.T) string {
		return func(t *testing.T) string {
			return scripted(t, func(c net.Conn, rd *bufio.Reader) {
				head(t, rd)
				io.WriteString(c, s)
			})
		}
	}
	ok := answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	gone := func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() }
	for name, tc := range map[string]struct {
		server  func(*testing.T) string
		request string
		act     func(net.Conn)
		want    string
	}{
		"in order":          {ok, plain, nil, "--"},
		"no request":        {ok, "GARBAGE\r\n\r\n", nil, "PR"},
		"refused path":      {ok, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", nil, "PR"},
		"refused":           {func(t *testing.T) string { return loopback.Refusing(t).String() }, plain, nil, "SC"},
		"silent":            {func(t *testing.T) string { return loopback.Silent(t).String() }, plain, nil, "sC"},
		"closed unanswered": {answer(""), plain, nil, "SH"},
		"garbage":           {answer("SSH-2.0-OpenSSH\r\n"), plain, nil, "PH"},
		"cut body":          {answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"), plain, nil, "SD"},
		"bad chunk":         {ok, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", nil, "PD"},
		"client leaves in its upload": {func(t *testing.T) string {
			return scripted(t, func(c net.Conn, rd *bufio.Reader) { io.Copy(io.Discard, rd) })
		}, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx", gone, "CD"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, l7.Config{Timeouts: l7.Timeouts{Connect: 50 * time.Millisecond}}, tc.server(t)).apply()
			c := dialRaw(t, r.addr()).send(tc.request)
			if tc.act != nil {
				eventually(t, "the request is at the server", func() bool { return r.engine.Stats().Servers[0].Requests == 1 })
				tc.act(c.Conn)
			} else {
				c.Conn.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, c.Reader)
			}
			line := regexp.MustCompile(`"microseconds":\d+,"connectMicroseconds":(-1|\d+),"termination":"(..)"`)
			var got []string
			eventually(t, "it is logged", func() bool { got = line.FindStringSubmatch(r.log.String()); return got != nil })
			if got[2] != tc.want {
				t.Errorf("ended as %s, want %s:\n%s", got[2], tc.want, r.log.String())
			}
			if reached := got[1] != "-1"; reached != (strings.Contains(r.log.String(), `"server":"s1"`)) {
				t.Errorf("connect time and server do not go together:\n%s", r.log.String())
			}
		})
	}
}

// A client that resets its connection ends the request that it waits for, at the server too.
func TestClientLeavesWhileItWaits(t *testing.T) {
	for name, before := range map[string]int64{"first request": 0, "later": 1} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan struct{})
			r := newRig(t, l7.Config{}, scripted(t, func(c net.Conn, rd *bufio.Reader) {
				for range before {
					head(t, rd)
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
				head(t, rd)
				io.Copy(io.Discard, rd)
				close(ended)
			})).apply()
			c := dialRaw(t, r.addr())
			for range before {
				c.send(plain).response("GET")
			}
			c.send(plain)
			eventually(t, "the request is at the server", func() bool { return r.engine.Stats().Servers[0].Requests == before+1 })
			c.Conn.(*net.TCPConn).SetLinger(0)
			c.Conn.Close()
			<-ended
			eventually(t, "it is logged", func() bool { return strings.Contains(r.log.String(), `"termination":"CH"`) })
		})
	}
}

func TestTerminationCodesOfTCP(t *testing.T) {
	for name, tc := range map[string]struct {
		server func(*testing.T) string
		want   string
	}{
		"in order": {echoTCP, "--"},
		"refused":  {func(t *testing.T) string { return loopback.Refusing(t).String() }, "SC"},
		"reset": {func(t *testing.T) string {
			return scripted(t, func(c net.Conn, rd *bufio.Reader) { rd.ReadByte(); c.(*net.TCPConn).SetLinger(0) })
		}, "SD"},
	} {
		for _, tls := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %v", name, tls), func(t *testing.T) {
				r := tcpRig(t, tc.server(t))
				if tls {
					r.web().TLS = &model.TLS{Certificates: []model.Certificate{cert(t, "pacs.example")}}
				}
				r.apply()
				if c := dialMaybeTLS(r.addr(), tls); c != nil {
					defer c.Close()
					io.WriteString(c, "x")
					c.(interface{ CloseWrite() error }).CloseWrite()
					io.Copy(io.Discard, c)
				}
				eventually(t, "it is logged", func() bool { return strings.Contains(r.log.String(), `"termination":"`+tc.want+`"`) })
			})
		}
	}
}

// stuck is a log that takes nothing until it is let.
type stuck struct {
	let  chan struct{}
	mu   sync.Mutex
	text strings.Builder
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.let
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// A log that nobody reads holds no request up, takes a bounded amount of memory, and what is lost is counted.
func TestAccessLogThatIsStuck(t *testing.T) {
	r := newRig(t, l7.Config{}) // no server: the proxy answers by itself
	log := &stuck{let: make(chan struct{})}
	e := l7.New(l7.Config{AccessLog: log})
	t.Cleanup(e.Close)
	if err := e.Apply(r.proxy, r.sockets); err != nil {
		t.Fatal(err)
	}
	const batch = 200
	refused := []byte(strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", batch))
	sent := int64(0)
	c := dialRaw(t, r.addr())
	for e.Stats().LogLinesDropped == 0 {
		go c.Conn.Write(refused)
		for range batch {
			c.response("GET")
		}
		if sent += batch; sent > 100_000 {
			t.Fatal("a stuck log took all lines")
		}
	}
	close(log.let)
	e.Close()
	log.mu.Lock()
	defer log.mu.Unlock()
	written := int64(strings.Count(log.text.String(), "\n"))
	if dropped := e.Stats().LogLinesDropped; written+dropped != sent {
		t.Errorf("%d lines written and %d dropped, of %d", written, dropped, sent)
	}
}

// broken is a log whose disk is full for the first so many writes.
type broken struct {
	printed.Text
	left int
}

func (b *broken) Write(p []byte) (int, error) {
	if b.left--; b.left >= 0 {
		return 0, errors.New("no space left on device")
	}
	return b.Text.Write(p)
}

// A log that cannot be written holds no request up; that is said once, and how many lines it cost once it works again.
func TestAccessLogOnAFullDisk(t *testing.T) {
	r := newRig(t, l7.Config{}, named(t, "up"))
	var said printed.Text
	log := &broken{left: 3}
	e := l7.New(l7.Config{AccessLog: log, Log: funcr.New(func(_, args string) { fmt.Fprintln(&said, args) }, funcr.Options{})})
	t.Cleanup(e.Close)
	if err := e.Apply(r.proxy, r.sockets); err != nil {
		t.Fatal(err)
	}
	c := dialRaw(t, r.addr())
	sent := int64(0)
	for log.String() == "" {
		c.send(plain).response("GET")
		if sent++; sent > 100_000 {
			t.Fatal("nothing is written")
		}
	}
	e.Close()
	written, dropped := int64(strings.Count(log.String(), "\n")), e.Stats().LogLinesDropped
	if written+dropped != sent || dropped < 3 {
		t.Errorf("%d lines written and %d dropped, of %d", written, dropped, sent)
	}
	if text := said.String(); strings.Count(text, "cannot be written") != 1 || !strings.Contains(text, fmt.Sprintf("\"lines\"=%d", dropped)) {
		t.Errorf("it said\n%s", text)
	}
}

func TestSourceAddress(t *testing.T) {
	from := make(chan string, 2)
	server := scripted(t, func(c net.Conn, rd *bufio.Reader) {
		from <- c.RemoteAddr().(*net.TCPAddr).IP.String()
		head(t, rd)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
	r := newRig(t, l7.Config{Source: func(netip.AddrPort) netip.AddrPort { return netip.MustParseAddrPort("127.0.0.77:0") }}, server)
	tcp := r.listen("tcp", model.TCPStream).Address.String()
	r.apply()
	for _, addr := range []string{r.addr(), tcp} {
		dialRaw(t, addr).send(plain).response("GET")
		if got := <-from; got != "127.0.0.77" {
			t.Errorf("the server saw %s", got)
		}
	}
}
