package l7_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/l7"
	"github.com/truepacs/balancer/dataplane/model"
)

// The event loop has the kernel's clock, which cannot be faked, so limits are short here; their defaults are tested in
// defaults_test.go. Nothing may come early; how late it may come is for the machine to say, up to patience.
const (
	headerLimit     = 500 * time.Millisecond
	keepAliveLimit  = 1500 * time.Millisecond
	transferLimit   = 1500 * time.Millisecond
	halfClosedLimit = 500 * time.Millisecond
	serverIdleLimit = time.Second

	// early is how much too short a limit may seem: it counts from the turn of the loop in which something came, for
	// which the loop read the clock a little before.
	early = 60 * time.Millisecond
)

// limited starts an engine with short limits.
func limited(t *testing.T, application model.Application, server func(net.Conn)) *rig {
	t.Helper()
	addr := scripted(t, func(c net.Conn, _ *bufio.Reader) { server(c) })
	r := newRig(t, l7.Config{Timeouts: l7.Timeouts{
		Header: headerLimit, KeepAlive: keepAliveLimit, Transfer: transferLimit, HalfClosed: halfClosedLimit, ServerIdle: serverIdleLimit,
	}}, addr)
	r.web().Application = application
	return r.apply()
}

// lasts returns how long after something began the peer closes, and what it sent until then.
func lasts(c net.Conn, began time.Time) (time.Duration, string) {
	b, _ := io.ReadAll(c)
	return time.Since(began), string(b)
}

// within says whether something lasted as long as it should, and did not wait for the test to give up.
func within(d, limit time.Duration) bool { return d >= limit-early && d < patience-early }

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
	t.Parallel()
	r := limited(t, model.HTTP, silent)
	began := time.Now()
	if d, b := lasts(dialRaw(t, r.addr()), began); !within(d, headerLimit) || b != "" {
		t.Errorf("closed after %v with %q, want %v", d, b, headerLimit)
	}
}

// One byte now and then never makes a head in time.
func TestSlowHead(t *testing.T) {
	t.Parallel()
	r := limited(t, model.HTTP, silent)
	began := time.Now()
	c := dialRaw(t, r.addr())
	go func() {
		for _, b := range []byte(plain) {
			if _, err := c.Conn.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(headerLimit / 10)
		}
	}()
	d, b := lasts(c, began)
	if !within(d, headerLimit) || !strings.HasPrefix(b, "HTTP/1.1 408 ") {
		t.Errorf("closed after %v with %q, want 408 after %v", d, b, headerLimit)
	}
}

func TestSlowHeadOnUsedConnection(t *testing.T) {
	t.Parallel()
	r := limited(t, model.HTTP, answering)
	c := dialRaw(t, r.addr())
	c.send(plain).response("GET")
	time.Sleep(keepAliveLimit / 3)
	began := time.Now()
	c.send("GET / HT")
	d, b := lasts(c, began)
	if !within(d, headerLimit) || !strings.HasPrefix(b, "HTTP/1.1 408 ") {
		t.Errorf("closed after %v with %q, want 408 after %v", d, b, headerLimit)
	}
	eventually(t, "it is logged", func() bool { return strings.Contains(r.log.String(), `"termination":"cR"`) })
}

func TestKeepAliveIdle(t *testing.T) {
	t.Parallel()
	c := dialRaw(t, limited(t, model.HTTP, answering).addr())
	for range 5 {
		c.send(plain).response("GET")
		time.Sleep(keepAliveLimit / 4)
	}
	began := time.Now()
	c.send(plain).response("GET")
	if d, b := lasts(c, began); !within(d, keepAliveLimit) || b != "" {
		t.Errorf("closed after %v with %q, want %v", d, b, keepAliveLimit)
	}
}

// A server that never answers: 504 after the limit, and not before.
func TestServerThatNeverAnswers(t *testing.T) {
	t.Parallel()
	r := limited(t, model.HTTP, silent)
	began := time.Now()
	c := dialRaw(t, r.addr()).send(plain)
	d, b := lasts(c, began)
	if !within(d, transferLimit) || !strings.HasPrefix(b, "HTTP/1.1 504 ") {
		t.Errorf("closed after %v with %q, want 504 after %v", d, b, transferLimit)
	}
	eventually(t, "it is logged", func() bool { return strings.Contains(r.log.String(), `"termination":"sH"`) })
}

// A body that trickles for long is never cut, in either direction; one that stops is, after the limit.
func TestBodiesMayTakeLong(t *testing.T) {
	t.Parallel()
	slow := func(c io.Writer, n int, piece string) {
		for range n {
			io.WriteString(c, piece)
			time.Sleep(transferLimit / 5)
		}
	}
	r := limited(t, model.HTTP, func(c net.Conn) {
		head(t, bufio.NewReaderSize(c, 16))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		slow(c, 10, "2\r\nxy\r\n")
		io.Copy(io.Discard, c)
	})
	began := time.Now()
	c := dialRaw(t, r.addr()).send(plain)
	d, b := lasts(c, began)
	if !within(d, 2*transferLimit) || strings.Count(b, "xy") != 10 || strings.HasSuffix(b, "0\r\n\r\n") {
		t.Errorf("closed after %v with %d bytes", d, len(b))
	}
	eventually(t, "it is logged", func() bool { return strings.Contains(r.log.String(), `"termination":"sD"`) })
	up := limited(t, model.HTTP, answering)
	c = dialRaw(t, up.addr()).send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	slow(c.Conn, 10, "2\r\nxy\r\n")
	if res, body := c.send("0\r\n\r\n").response("POST"); res.StatusCode != 200 || body != "ok" {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}

func TestTCPIdle(t *testing.T) {
	t.Parallel()
	c := dialRaw(t, limited(t, model.TCPStream, silent).addr())
	began := time.Now()
	go func() {
		for range 5 { // only one direction moves
			io.WriteString(c.Conn, "x")
			time.Sleep(transferLimit / 3)
		}
	}()
	if d, _ := lasts(c, began); !within(d, 4*transferLimit/3+transferLimit) {
		t.Errorf("closed after %v, want %v after the last byte", d, transferLimit)
	}
}

// Unused server connections are closed before the server does so.
func TestServerConnectionsExpire(t *testing.T) {
	t.Parallel()
	r := limited(t, model.HTTP, answering)
	c := dialRaw(t, r.addr())
	for range 3 {
		c.send(plain).response("GET")
	}
	if s := r.engine.Stats().Servers[0]; s.Total != 1 {
		t.Errorf("within the limit: %+v", s)
	}
	eventually(t, "the unused connection is closed", func() bool { return r.engine.Stats().Servers[0].Idle == 0 })
	c.send(plain).response("GET")
	eventually(t, "the new one is kept", func() bool {
		s := r.engine.Stats().Servers[0]
		return s.Total == 2 && s.Requests == 4 && s.Current == 0
	})
}

// After one side has ended, the other has less time between bytes: in TCP, in TCP whose TLS ends here, and after an
// upgrade.
func TestHalfClosedIdle(t *testing.T) {
	const upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	for name, tc := range map[string]struct{ tcp, secure bool }{"TCP": {true, false}, "TCP in TLS": {true, true}, "upgraded": {false, false}, "upgraded in TLS": {false, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			over := make(chan struct{})
			server := scripted(t, func(c net.Conn, rd *bufio.Reader) {
				if !tc.tcp {
					head(t, rd)
					io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				}
				for range 3 {
					io.WriteString(c, "x")
					time.Sleep(halfClosedLimit / 2)
				}
				<-over // the server never ends its direction
			})
			t.Cleanup(func() { close(over) })
			r := newRig(t, l7.Config{Timeouts: l7.Timeouts{Transfer: time.Hour, HalfClosed: halfClosedLimit}}, server)
			if tc.tcp {
				r.web().Application = model.TCPStream
			}
			if tc.secure {
				r.web().TLS = &model.TLS{Certificates: []model.Certificate{cert(t, "pacs.example")}}
			}
			r.apply()
			c := dialMaybeTLS(r.addr(), tc.secure)
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			began := time.Now()
			if !tc.tcp {
				io.WriteString(c, upgrade)
				head(t, bufio.NewReaderSize(onlyReader{c}, 16))
			}
			c.(interface{ CloseWrite() error }).CloseWrite()
			d, b := lasts(c, began)
			if !within(d, halfClosedLimit+halfClosedLimit) || strings.Trim(b, "x") != "" {
				t.Errorf("closed after %v with %q, want %v after the last byte", d, b, halfClosedLimit)
			}
		})
	}
}

// onlyReader hides what else a connection can do.
type onlyReader struct{ io.Reader }
