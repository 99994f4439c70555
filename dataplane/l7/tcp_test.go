package l7_test

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/truepacs/balancer/dataplane/l7"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/testutil/loopback"
)

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }

// echoTCP sends back what it gets, and END after the client has ended its direction.
func echoTCP(t *testing.T) string {
	return scripted(t, func(c net.Conn, rd *bufio.Reader) {
		io.Copy(c, rd)
		io.WriteString(c, "END")
	})
}

func tcpRig(t *testing.T, servers ...string) *rig {
	r := newRig(t, l7.Config{}, servers...)
	r.web().Application = model.TCPStream
	return r
}

func TestTCPKeepsHalfClose(t *testing.T) {
	r := tcpRig(t, echoTCP(t)).apply()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			want := strings.Repeat(fmt.Sprint(i), 1<<i/4)
			c, err := net.Dial("tcp", r.addr())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			go func() {
				io.WriteString(c, want)
				c.(*net.TCPConn).CloseWrite()
			}()
			if b, err := io.ReadAll(c); err != nil || string(b) != want+"END" {
				t.Errorf("%d bytes of %d, %v", len(b), len(want), err)
			}
		})
	}
	all.Wait()
	eventually(t, "all connections end", func() bool {
		st := r.engine.Stats()
		return st.Listeners[0].Current == 0 && st.Servers[0].Current == 0
	})
	if st := r.engine.Stats(); st.Listeners[0].Errors != 0 || st.Servers[0].Total != 20 || st.Listeners[0].BytesOut != st.Listeners[0].BytesIn+20*3 {
		t.Errorf("counters %+v", st)
	}
}

// The server speaks first and ends first, as some vendor ports do.
func TestTCPServerEndsFirst(t *testing.T) {
	got := make(chan string, 1)
	r := tcpRig(t, scripted(t, func(c net.Conn, rd *bufio.Reader) {
		io.WriteString(c, "banner")
		c.(*net.TCPConn).CloseWrite()
		b, _ := io.ReadAll(rd)
		got <- string(b)
	})).apply()
	c := dialRaw(t, r.addr())
	if b, err := io.ReadAll(c); err != nil || string(b) != "banner" {
		t.Fatalf("%q %v", b, err)
	}
	c.send("still here")
	c.Conn.(*net.TCPConn).CloseWrite()
	if b := <-got; b != "still here" {
		t.Errorf("server got %q", b)
	}
}

// A reset of one side is a reset for the other, not a proper end.
func TestTCPPassesResetsOn(t *testing.T) {
	crash := make(chan struct{})
	r := tcpRig(t, scripted(t, func(c net.Conn, rd *bufio.Reader) {
		io.WriteString(c, "x")
		<-crash
		c.(*net.TCPConn).SetLinger(0)
	})).apply()
	c := dialRaw(t, r.addr())
	if b, err := c.ReadByte(); err != nil || b != 'x' {
		t.Fatal(b, err)
	}
	close(crash)
	if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("client saw %v, want a reset", err)
	}
}

func TestTCPPassesOverServersThatRefuse(t *testing.T) {
	r := tcpRig(t, loopback.Refusing(t).String(), echoTCP(t)).apply()
	for range 6 {
		c := dialRaw(t, r.addr()).send("hi")
		c.Conn.(*net.TCPConn).CloseWrite()
		if b, err := io.ReadAll(c); err != nil || string(b) != "hiEND" {
			t.Errorf("%q %v", b, err)
		}
	}
}

func TestTCPWithoutServerIsReset(t *testing.T) {
	r := tcpRig(t, loopback.Refusing(t).String()).apply()
	c, err := net.Dial("tcp", r.addr())
	if err != nil {
		return // reset at once
	}
	defer c.Close()
	if b, err := io.ReadAll(c); err == nil || len(b) > 0 {
		t.Errorf("client saw %q, %v; want a reset", b, err)
	}
}

func TestTCPLeastConnection(t *testing.T) {
	r := tcpRig(t, echoTCP(t), echoTCP(t))
	r.web().Algorithm = model.L7LeastConnection
	r.apply()
	for range 10 {
		c := dialRaw(t, r.addr()).send("x")
		c.ReadByte()
	}
	for _, s := range r.engine.Stats().Servers {
		if s.Current != 5 {
			t.Errorf("server %s has %d connections, want 5", s.Server, s.Current)
		}
	}
}

// Large amounts both ways at once, through the path that splices.
func TestTCPBulk(t *testing.T) {
	r := tcpRig(t, scripted(t, func(c net.Conn, rd *bufio.Reader) {
		io.Copy(c, rd)
	})).apply()
	c := dialRaw(t, r.addr())
	const size = 256 << 20
	sent, got := sha256.New(), sha256.New()
	go func() {
		io.Copy(io.MultiWriter(c.Conn, sent), io.LimitReader(newPattern(), size))
		c.Conn.(*net.TCPConn).CloseWrite()
	}()
	if n, err := io.Copy(got, c); err != nil || n != size {
		t.Fatalf("%d bytes of %d, %v", n, size, err)
	}
	if string(got.Sum(nil)) != string(sent.Sum(nil)) {
		t.Error("bytes were altered")
	}
}

// A mistake that one connection meets cuts that connection and no other.
func TestTCPPanicCutsOneConnection(t *testing.T) {
	var calls atomic.Int64
	r := newRig(t, l7.Config{Source: func(netip.AddrPort) (from netip.AddrPort) {
		if calls.Add(1) == 2 {
			panic("for the test")
		}
		return from
	}}, echoTCP(t))
	r.web().Application = model.TCPStream
	r.apply()
	well := dialRaw(t, r.addr())
	eventually(t, "the first connection goes to the server", func() bool { return calls.Load() == 1 })
	if c, err := net.Dial("tcp", r.addr()); err == nil { // else the reset was faster
		defer c.Close()
		if b, err := io.ReadAll(c); err == nil {
			t.Errorf("the broken connection gave %q, want a reset", b)
		}
	}
	well.send("hi").Conn.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(well); err != nil || string(b) != "hiEND" {
		t.Errorf("%q %v", b, err)
	}
	eventually(t, "nothing is left of either", func() bool {
		st := r.engine.Stats()
		return st.Listeners[0].Current == 0 && st.Servers[0].Current == 0
	})
}
