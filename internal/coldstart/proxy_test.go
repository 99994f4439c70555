package coldstart

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"

	"github.com/truepacs/balancer/dataplane/keeper"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/proxy"
	"github.com/truepacs/balancer/dataplane/testutil/loopback"
	"github.com/truepacs/balancer/internal/turns"
)

const after = 300 * time.Millisecond

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("did not happen: %s", what)
}

func run(t *testing.T, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// host is a keeper with one TCP service to a server that echoes.
type host struct {
	dir     string
	keeper  *keeper.Server
	service netip.AddrPort
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{dir: t.TempDir(), service: loopback.Free(t)}
	if err := turns.Prepare(h.dir, os.Getgid()); err != nil {
		t.Fatal(err)
	}
	h.keeper = keeper.NewServer(keeper.ServerConfig{Log: logr.Discard(), Path: h.socket(), Group: -1})
	t.Cleanup(run(t, h.keeper.Run))
	err := h.keeper.Set(t.Context(), model.Proxy{
		Listeners: []model.Listener{{
			Name: "ns/b/s@x", Service: "ns/b/s", Address: h.service,
			Application: model.TCPStream, Pool: "p", Algorithm: model.L7RoundRobin,
		}},
		Pools: []model.Pool{{Name: "p", Servers: []model.PoolServer{{Name: "a", Address: loopback.Serve(t, func(c net.Conn) { _, _ = io.Copy(c, c) }), Weight: 1}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *host) socket() string { return filepath.Join(h.dir, "keeper.sock") }

func (h *host) config(version string) proxy.Config {
	return proxy.Config{Log: logr.Discard(), Socket: h.socket(), Version: version, AccessLog: io.Discard}
}

// regular is a regular proxy, as the command proxy runs it.
func (h *host) regular(ctx context.Context) error {
	go turns.HoldProxy(ctx, h.dir)
	return proxy.New(h.config("regular")).Run(ctx)
}

func (h *host) served(by string) func() bool {
	return func() bool {
		state := h.keeper.State()
		return state.Current && state.Version == by
	}
}

func (h *host) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", h.service.String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	exchange(t, c)
	return c
}

func exchange(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	var back [1]byte
	if _, err := c.Write([]byte{7}); err != nil {
		t.Fatalf("the connection was cut: %v", err)
	}
	if _, err := io.ReadFull(c, back[:]); err != nil || back[0] != 7 {
		t.Fatalf("the connection was cut: %d, %v", back, err)
	}
}

// TestProxiesTakeTurns lets a regular proxy come and go twice; connections of each turn go on.
func TestProxiesTakeTurns(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	h := newHost(t)
	cold := &Proxy{Config: h.config("cold"), RunDir: h.dir, After: after}
	stopCold := run(t, cold.Run)
	t.Cleanup(stopCold)
	if ready, state := cold.Heartbeat(); !ready || state != "standby" {
		t.Errorf("heartbeat %t %s", ready, state)
	}
	var open []net.Conn
	for range 2 {
		eventually(t, "the cold-start proxy serves", h.served("cold"))
		open = append(open, h.dial(t))
		stopRegular := run(t, h.regular)
		eventually(t, "the regular proxy serves", h.served("regular"))
		eventually(t, "the cold-start proxy stands by", func() bool { _, state := cold.Heartbeat(); return state == "standby" })
		last := h.dial(t)
		for _, c := range open {
			exchange(t, c)
		}
		time.Sleep(3 * after)
		if !h.served("regular")() {
			t.Error("the cold-start proxy acts beside a regular one")
		}
		last.Close()
		stopRegular()
	}
	eventually(t, "the cold-start proxy serves", h.served("cold"))
	for _, c := range open {
		exchange(t, c)
		c.Close()
	}
	stopCold()
}
