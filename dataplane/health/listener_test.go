package health

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/testutil/loopback"
)

// serve runs handle for every connection to a new loopback port until the test ends.
func serve(t *testing.T, handle func(net.Conn)) netip.AddrPort {
	t.Helper()
	return loopback.Serve(t, func(c net.Conn) {
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		handle(c)
	})
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
