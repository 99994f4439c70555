package flow

import (
	"context"
	"net"
	"testing"
	"time"
)

func startServer(t *testing.T) (*Server, Dial) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(l)
	t.Cleanup(func() { _ = s.Close() })
	return s, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}
}

func TestUndisturbedFlowsAreWhole(t *testing.T) {
	s, dial := startServer(t)
	f, err := Start(t.Context(), dial, Options{Name: "x", Connections: 5, Bytes: 1 << 20, Rate: 2 << 20, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Finish(t.Context()); err != nil {
		t.Error(err)
	}
	if s.Total() != 6 || f.Beats() == 0 || f.Sent() != 1<<20 {
		t.Errorf("%d connections, %d exchanges, %d bytes", s.Total(), f.Beats(), f.Sent())
	}
}

func TestCutFlowsAreNoticed(t *testing.T) {
	s, dial := startServer(t)
	f, err := Start(t.Context(), dial, Options{Name: "x", Connections: 5, Bytes: 100 << 20, Rate: 1 << 20, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); len(f.Cut()) < 6 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	if n := len(f.Cut()); n != 6 {
		t.Errorf("%d of 6 cut connections were noticed", n)
	}
	_ = f.Stop()
}
