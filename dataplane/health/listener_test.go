package health

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// serve runs handle for every connection to a new loopback port until the test ends.
func serve(t *testing.T, handle func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				handle(c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return netip.MustParseAddrPort(l.Addr().String())
}

// probeOnce makes one probe of at as a Monitor does.
func probeOnce(t *testing.T, at netip.AddrPort, c Check) Result {
	t.Helper()
	m := NewMonitor(Config{})
	defer m.Close()
	c.Port = at.Port()
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	return m.probe(context.Background(), newProber(at.Addr(), c.withDefaults()))
}

// drain reads until the peer has closed and returns what came.
func drain(c net.Conn) []byte {
	b, _ := io.ReadAll(c)
	return b
}
