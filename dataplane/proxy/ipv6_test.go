package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/truepacs/balancer/dataplane/keeper"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/proxy"
	"github.com/truepacs/balancer/dataplane/testutil/loopback"
	"github.com/truepacs/balancer/dataplane/testutil/printed"
)

// patience is how long a test waits for what must come; no test passes by waiting.
const patience = 30 * time.Second

// serve runs a server on ::1 that answers what it sees.
func serve(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Fatalf("this test needs ::1 on lo: %v", err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %q %q %s", r.Host, r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Host"], r.RemoteAddr)
	}))
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// both runs an agent's side and a proxy until the test ends.
func both(t *testing.T, access io.Writer) *keeper.Server {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keeper.sock")
	server := keeper.NewServer(keeper.ServerConfig{Log: logr.Discard(), Path: path, Group: -1})
	p := proxy.New(proxy.Config{Log: logr.Discard(), Socket: path, AccessLog: access, DrainLimit: time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := server.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	running.Go(func() { _ = p.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return server
}

// TestIPv6FromClientToServer carries requests through agent and proxy with nothing but IPv6: the
// listening socket, the client's address, the check and the way to the server.
func TestIPv6FromClientToServer(t *testing.T) {
	access := &printed.Text{}
	server := both(t, access)
	web := netip.AddrPortFrom(netip.IPv6Loopback(), loopback.FreePort(t))
	stream := netip.AddrPortFrom(netip.IPv6Loopback(), loopback.FreePort(t))
	end := serve(t)
	wanted := model.Proxy{
		Listeners: []model.Listener{
			{Name: "web", Service: "ns/b/web", Address: web, Application: model.HTTP, Pool: "main", Algorithm: model.L7RoundRobin, XForwardedFor: true},
			{Name: "raw", Service: "ns/b/raw", Address: stream, Application: model.TCPStream, Pool: "main", Algorithm: model.L7RoundRobin},
		},
		Pools: []model.Pool{{Name: "main", Servers: []model.PoolServer{{Name: "a", Address: end, Weight: 1}}}},
		Targets: []model.Target{{Key: "main/a", Address: end.Addr(), Checks: []model.Check{{
			Type: model.CheckTCP, Port: end.Port(), Period: time.Second, FastPeriod: 100 * time.Millisecond, Timeout: 5 * time.Second, Rise: 1, Fall: 3,
		}}}},
	}
	if err := server.Set(t.Context(), wanted); err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]netip.AddrPort{"web": web, "raw": stream} {
		request := fmt.Sprintf("GET / HTTP/1.1\r\nHost: %s\r\nX-Forwarded-For: 192.0.2.7\r\nConnection: close\r\n\r\n", at)
		got := exchange(t, at, request)
		want := fmt.Sprintf("%s [\"::1\"] [%q] [::1]:", at, at)
		if name == "raw" {
			want = fmt.Sprintf("%s [\"192.0.2.7\"] [] [::1]:", at)
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: the answer is\n%s\nwant in it %s", name, got, want)
		}
	}
	await(t, "the check passes", func() bool { return server.State().Status.Verdicts["main/a"].Healthy })
	await(t, "the access log names the client", func() bool { return strings.Count(access.String(), "::1") >= 2 })
}

// TestTrustedIPv6ClientsAddToTheirList keeps what a trusted proxy of IPv6 sent.
func TestTrustedIPv6ClientsAddToTheirList(t *testing.T) {
	server := both(t, io.Discard)
	web := netip.AddrPortFrom(netip.IPv6Loopback(), loopback.FreePort(t))
	wanted := model.Proxy{
		Listeners: []model.Listener{{
			Name: "web", Service: "ns/b/web", Address: web, Application: model.HTTP, Pool: "main", Algorithm: model.L7LeastConnection,
			XForwardedFor: true, TrustedCIDRs: []netip.Prefix{netip.MustParsePrefix("::1/128")},
		}},
		Pools: []model.Pool{{Name: "main", Servers: []model.PoolServer{{Name: "a", Address: serve(t), Weight: 1}}}},
	}
	if err := server.Set(t.Context(), wanted); err != nil {
		t.Fatal(err)
	}
	got := exchange(t, web, "GET / HTTP/1.1\r\nHost: pacs\r\nX-Forwarded-For: 2001:db8::7\r\nConnection: close\r\n\r\n")
	if !strings.Contains(got, `pacs ["2001:db8::7, ::1"] ["pacs"]`) {
		t.Errorf("the answer is\n%s", got)
	}
}

// exchange sends a request and returns all of the answer; the proxy may still be starting.
func exchange(t *testing.T, at netip.AddrPort, request string) string {
	t.Helper()
	c, err := net.DialTimeout("tcp6", at.String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("%v after\n%s", err, b)
	}
	return string(b)
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("did not happen: %s", what)
}
