package l7_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/truepacs/balancer/dataplane/l7"
	"github.com/truepacs/balancer/dataplane/model"
)

// pipes is a net.Listener whose connections are pipes, so that time can be faked.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// bubble runs f with an engine in which time is faked; dial makes clients, serve is the server.
func bubble(t *testing.T, application model.Application, server func(net.Conn), f func(t *testing.T, e *l7.Engine, dial func() net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		e := l7.New(l7.Config{Dial: func(context.Context, netip.AddrPort) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				server(theirs)
			}()
			return ours, nil
		}})
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		err := e.Apply(model.Proxy{
			Listeners: []model.Listener{{Name: "l", Address: netip.MustParseAddrPort("192.0.2.1:80"), Application: application, Pool: "p", Algorithm: model.L7RoundRobin}},
			Pools:     []model.Pool{poolOf("p", "192.0.2.2:80")},
		}, map[string]net.Listener{"l": l})
		if err != nil {
			t.Fatal(err)
		}
		f(t, e, func() net.Conn {
			ours, theirs := net.Pipe()
			l.conns <- theirs
			return ours
		})
		e.Close()
		time.Sleep(24 * time.Hour) // servers and clients end
	})
}

// lasts returns after how long the peer closes, and what it sent until then.
func lasts(c net.Conn) (time.Duration, string) {
	began := time.Now()
	b, _ := io.ReadAll(c)
	return time.Since(began), string(b)
}

func silent(c net.Conn) { io.Copy(io.Discard, c) }

func answering(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		io.Copy(io.Discard, req.Body)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

const plain = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

func TestClientThatSaysNothing(t *testing.T) {
	bubble(t, model.HTTP, silent, func(t *testing.T, _ *l7.Engine, dial func() net.Conn) {
		if d, b := lasts(dial()); d != 10*time.Second || b != "" {
			t.Errorf("closed after %v with %q, want 10s", d, b)
		}
	})
}

// One byte a second never makes a head in time.
func TestSlowHead(t *testing.T) {
	bubble(t, model.HTTP, silent, func(t *testing.T, _ *l7.Engine, dial func() net.Conn) {
		c := dial()
		go func() {
			for _, b := range []byte(plain) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		d, b := lasts(c)
		if d < 10*time.Second || d > 12*time.Second || !strings.HasPrefix(b, "HTTP/1.1 408 ") {
			t.Errorf("closed after %v with %q, want 408 after 10s", d, b)
		}
	})
}

func TestSlowHeadOnUsedConnection(t *testing.T) {
	bubble(t, model.HTTP, answering, func(t *testing.T, _ *l7.Engine, dial func() net.Conn) {
		c := dial()
		io.WriteString(c, plain)
		readResponse(t, c)
		time.Sleep(30 * time.Second)
		io.WriteString(c, "GET / HT")
		d, b := lasts(c)
		if d < 10*time.Second || d > 12*time.Second || !strings.HasPrefix(b, "HTTP/1.1 408 ") {
			t.Errorf("closed after %v with %q, want 408 after 10s", d, b)
		}
	})
}

func readResponse(t *testing.T, c net.Conn) {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(res.Body); err != nil || string(b) != "ok" {
		t.Fatalf("%q %v", b, err)
	}
}

func TestKeepAliveIdle(t *testing.T) {
	bubble(t, model.HTTP, answering, func(t *testing.T, _ *l7.Engine, dial func() net.Conn) {
		c := dial()
		for range 5 {
			io.WriteString(c, plain)
			readResponse(t, c)
			time.Sleep(59 * time.Second)
		}
		if d, b := lasts(c); d != time.Second || b != "" {
			t.Errorf("closed after %v with %q, want the 60th second", d, b)
		}
	})
}

// A server that never answers: 504 after 15 minutes, and not before.
func TestServerThatNeverAnswers(t *testing.T) {
	bubble(t, model.HTTP, silent, func(t *testing.T, _ *l7.Engine, dial func() net.Conn) {
		c := dial()
		io.WriteString(c, plain)
		d, b := lasts(c)
		if d < 15*time.Minute || d > 15*time.Minute+2*time.Second || !strings.HasPrefix(b, "HTTP/1.1 504 ") {
			t.Errorf("closed after %v with %q, want 504 after 15m", d, b)
		}
	})
}

// A body that trickles for hours is never cut, in either direction; one that stops is, after
// 15 minutes.
func TestBodiesMayTakeHours(t *testing.T) {
	slow := func(c io.Writer, n int, piece string) {
		for range n {
			io.WriteString(c, piece)
			time.Sleep(14 * time.Minute)
		}
	}
	server := func(c net.Conn) {
		head(t, bufio.NewReaderSize(c, 16))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		slow(c, 20, "2\r\nxy\r\n")
		io.Copy(io.Discard, c)
	}
	bubble(t, model.HTTP, server, func(t *testing.T, _ *l7.Engine, dial func() net.Conn) {
		c := dial()
		io.WriteString(c, plain)
		d, b := lasts(c)
		if want := 20 * 14 * time.Minute; d < want || d > want+2*time.Minute || strings.Count(b, "xy") != 20 || strings.HasSuffix(b, "0\r\n\r\n") {
			t.Errorf("closed after %v with %d bytes", d, len(b))
		}
	})
	bubble(t, model.HTTP, answering, func(t *testing.T, _ *l7.Engine, dial func() net.Conn) {
		c := dial()
		go func() {
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
			slow(c, 20, "2\r\nxy\r\n")
			io.WriteString(c, "0\r\n\r\n")
		}()
		readResponse(t, c)
		c.Close()
	})
}

func TestTCPIdle(t *testing.T) {
	bubble(t, model.TCPStream, silent, func(t *testing.T, _ *l7.Engine, dial func() net.Conn) {
		c := dial()
		go func() {
			for range 10 { // only one direction moves
				io.WriteString(c, "x")
				time.Sleep(14 * time.Minute)
			}
		}()
		if d, _ := lasts(c); d != 9*14*time.Minute+15*time.Minute {
			t.Errorf("closed after %v, want 15m after the last byte", d)
		}
	})
}

// After one side has ended, the other has 30 seconds between bytes.
func TestTCPHalfClosedIdle(t *testing.T) {
	server := func(c net.Conn) {
		for range 3 {
			io.WriteString(c, "x")
			time.Sleep(29 * time.Second)
		}
		time.Sleep(time.Hour)
	}
	synctest.Test(t, func(t *testing.T) {
		e := l7.New(l7.Config{Dial: func(context.Context, netip.AddrPort) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() { defer theirs.Close(); server(theirs) }()
			return halfPipe{ours}, nil
		}})
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		if err := e.Apply(model.Proxy{
			Listeners: []model.Listener{{Name: "l", Address: netip.MustParseAddrPort("192.0.2.1:80"), Application: model.TCPStream, Pool: "p", Algorithm: model.L7RoundRobin}},
			Pools:     []model.Pool{poolOf("p", "192.0.2.2:80")},
		}, map[string]net.Listener{"l": l}); err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe()
		l.conns <- endsFirst{theirs}
		if d, b := lasts(ours); d != 2*29*time.Second+30*time.Second || b != "xxx" {
			t.Errorf("closed after %v with %q, want 30s after the last byte", d, b)
		}
		e.Close()
		time.Sleep(2 * time.Hour) // the server ends
	})
}

// halfPipe is a pipe that can be half closed, as far as its owner can tell.
type halfPipe struct{ net.Conn }

func (halfPipe) CloseWrite() error { return nil }

// endsFirst is a client that has ended its direction.
type endsFirst struct{ net.Conn }

func (endsFirst) Read([]byte) (int, error) { return 0, io.EOF }
func (endsFirst) CloseWrite() error        { return nil }

// Unused server connections are closed after 4 seconds.
func TestServerConnectionsExpire(t *testing.T) {
	bubble(t, model.HTTP, answering, func(t *testing.T, e *l7.Engine, dial func() net.Conn) {
		c := dial()
		for range 3 {
			io.WriteString(c, plain)
			readResponse(t, c)
			time.Sleep(3 * time.Second)
		}
		if s := e.Stats().Servers[0]; s.Total != 1 || s.Idle != 1 {
			t.Errorf("within the limit: %+v", s)
		}
		time.Sleep(time.Second + time.Millisecond)
		if s := e.Stats().Servers[0]; s.Idle != 0 {
			t.Errorf("past the limit: %+v", s)
		}
		io.WriteString(c, plain)
		readResponse(t, c)
		synctest.Wait()
		if s := e.Stats().Servers[0]; s.Total != 2 || s.Requests != 4 || s.Current != 0 {
			t.Errorf("afterwards: %+v", s)
		}
		c.Close()
	})
}
