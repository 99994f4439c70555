package keeper

import (
	"context"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"

	"github.com/truepacs/balancer/dataplane/model"
)

// chattyProxy reports more connections each time, and a verdict that the test sets.
type chattyProxy struct {
	echoProxy
	said    atomic.Int64
	healthy atomic.Bool
}

func (p *chattyProxy) Status() Status {
	return Status{
		Connections: p.said.Add(1),
		Verdicts: map[string]model.Verdict{
			"ns/b/p/a": {Known: true, Healthy: p.healthy.Load(), Since: time.Unix(1, 0)},
		},
	}
}

// TestReportsWithoutNewsWakeNobody counts how often the agent is woken by a proxy whose traffic
// moves and that sees nothing new, and then something.
func TestReportsWithoutNewsWakeNobody(t *testing.T) {
	defer goleak.VerifyNone(t)
	path := filepath.Join(t.TempDir(), "keeper.sock")
	var woken atomic.Int64
	server := NewServer(ServerConfig{Log: logr.Discard(), Path: path, Group: -1, OnChange: func() { woken.Add(1) }})
	agent := start(func(ctx context.Context) { _ = server.Run(ctx) })
	defer agent.stop()
	h := &chattyProxy{}
	client := NewClient(ClientConfig{Log: logr.Discard(), Path: path, ProxyVersion: "x", ReportEvery: 2 * time.Millisecond}, h)
	proxy := start(client.Run)
	stop := proxy.stop
	defer func() { stop() }()

	reports := func(n int64) {
		t.Helper()
		last := h.said.Load() + n
		eventually(t, "the agent has the newest report", func() bool { return server.State().Status.Connections >= last })
	}
	reports(5) // hello and the first report have come
	before := woken.Load()
	if before == 0 {
		t.Fatal("nobody was told that a proxy came")
	}
	reports(200)
	if n := woken.Load() - before; n != 0 {
		t.Errorf("woken %d times by 200 reports without news", n)
	}
	h.healthy.Store(true)
	reports(20)
	if n := woken.Load() - before; n != 1 {
		t.Errorf("woken %d times by one changed verdict, want once", n)
	}
	stop()
	stop = func() {}
	eventually(t, "the agent is told that the proxy left", func() bool { return woken.Load() == before+2 })
}

// TestOlderAgentsHearTheStatusInFull reads as an agent does that knows no signs of life: a status comes
// first, and again within a few reports though nothing is new. The rest are signs of life with the numbers.
func TestOlderAgentsHearTheStatusInFull(t *testing.T) {
	defer goleak.VerifyNone(t)
	path := filepath.Join(t.TempDir(), "keeper.sock")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client := NewClient(ClientConfig{Log: logr.Discard(), Path: path, ProxyVersion: "x", ReportEvery: 2 * time.Millisecond}, &chattyProxy{})
	proxy := start(client.Run)
	defer proxy.stop()
	conn, err := listener.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	agent := &wire{conn: conn}
	full, alive, last := 0, 0, int64(0)
	for n := range 100 {
		m, _, err := agent.receive()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case n == 0 && m.Kind == kindHello:
		case m.Kind == kindStatus && len(m.Status.Verdicts) == 1:
			full++
		case n > 1 && m.Kind == kindAlive && len(m.Status.Verdicts) == 0 && m.Status.Connections > last:
			alive++
		default:
			t.Fatalf("message %d is %q: %+v", n, m.Kind, m.Status)
		}
		if m.Status != nil {
			last = m.Status.Connections
		}
	}
	if full < 3 || alive < full {
		t.Errorf("of 100 messages %d were a status in full and %d signs of life", full, alive)
	}
}
