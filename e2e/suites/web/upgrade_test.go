package web

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/peers"
	"github.com/truepacs/balancer/e2e/suite"
)

// TestBytesBehindAnUpgradeWait has a client send bytes of another protocol with its request to change to it. They are HTTP for a
// server that does not agree, so the server must not have them before it has agreed (RFC 9110 section 7.8).
func TestBytesBehindAnUpgradeWait(t *testing.T) {
	t.Parallel()
	in := newHost(t)
	early := make(chan int, 1)
	servers := agreeing(t, in, early)
	p := peers.Start(t, in, peers.TruePACS, front(web("web", 80, servers)))
	c := entry{p, "web", nil, in}.dial(t)
	send(t, c, get("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")+"hello"+trailing)
	if n := <-early; n > 0 {
		t.Errorf("the server had %d bytes before it agreed", n)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	r := bufio.NewReader(c)
	response, err := http.ReadResponse(r, nil)
	suite.Must(t, err)
	if response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("Upgrade") != "websocket" {
		t.Errorf("the client was told %s %v", response.Status, response.Header)
	}
	back := make([]byte, len("hello"+trailing))
	if _, err := io.ReadFull(r, back); err != nil || string(back) != "hello"+trailing {
		t.Errorf("the server gave %q back, %v", back, err)
	}
	suite.Verdict(t, "%d bytes behind a request for WebSocket waited until the server had agreed, and then passed both ways", len(back))
}

// agreeing is a server that changes to another protocol after a while, and gives back what it gets by it. It tells
// how many bytes it had before.
func agreeing(t *testing.T, in peers.Host, early chan<- int) netip.AddrPort {
	t.Helper()
	l := listen(t, in, server+":0")
	serve := func(c net.Conn) {
		defer c.Close()
		r := bufio.NewReader(c)
		for {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if request.Header.Get("Upgrade") == "" {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				continue
			}
			_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			_, err = r.Peek(1)
			if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
				early <- max(1, r.Buffered())
			} else {
				early <- 0
			}
			_ = c.SetReadDeadline(time.Time{})
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			_, _ = io.Copy(c, r)
			return
		}
	}
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			go serve(c)
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}
