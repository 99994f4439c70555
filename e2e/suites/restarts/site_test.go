package restarts

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/e2e/flow"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/site"
)

// manifest has one service on each path to the same TCP servers.
const manifest = `apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata: {name: flows}
spec:
  directors: {peers: [{name: lb1}]}
  virtualIPs: [{name: main, address: 192.0.2.100}]
  serverPools:
  - name: direct
    servers: [{name: pacs-a, address: 192.0.2.11}, {name: pacs-b, address: 192.0.2.12}]
  - name: proxied
    port: 7007
    servers: [{name: pacs-a, address: 192.0.2.11}, {name: pacs-b, address: 192.0.2.12}]
  virtualServices:
  - {name: direct, virtualIPs: [main], mode: L4DR, ports: [7007], serverPool: direct, layer4: {scheduler: RoundRobin}}
  - {name: proxied, virtualIPs: [main], mode: L7SNAT, ports: [7107], serverPool: proxied, layer7: {application: TCP, algorithm: RoundRobin}}
`

// Ports of the services.
const (
	directPort  = 7007
	proxiedPort = 7107
)

// binary is the shipped program; make builds it.
func binary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("TRUEPACS_BINARY")
	if path == "" {
		path = "../../../bin/truepacs"
	}
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("the program is missing, run make build: %v", err)
	}
	return path
}

// world is a site with flow servers.
type world struct {
	*site.Site
	servers []*flow.Server
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := site.New(t.Context(), site.Options{Binary: binary(t), Log: t.Logf, Tools: []string{"strace"}})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Site: s}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("director printed:\n%s", s.Output(s.Director))
			for _, argv := range [][]string{{"ps", "-o", "pid,user,vsz,rss,stat,args"}, {"free", "-m"}, {"dmesg"}, {"ss", "-tn"}} {
				out, err := s.MustRun(context.WithoutCancel(t.Context()), s.Director, argv...)
				t.Logf("%v: %v\n%s", argv, err, out)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, server := range s.Servers {
		l, err := server.Host.(*lab.Namespace).Listen(t.Context(), "tcp4", fmt.Sprintf("0.0.0.0:%d", flow.Port))
		if err != nil {
			t.Fatal(err)
		}
		f := flow.Serve(l)
		t.Cleanup(func() { _ = f.Close() })
		w.servers = append(w.servers, f)
	}
	must(t, s.PutManifest(t.Context(), "flows.yaml", manifest))
	must(t, s.StartAgents(t.Context()))
	w.awaitWorking(t)
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) awaitWorking(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	must(t, w.AwaitCondition(ctx, v1alpha1.ConditionReady, "True"))
	must(t, w.AwaitCondition(ctx, v1alpha1.ConditionServersHealthy, "True"))
}

// dial opens connections from a modality's host.
func (w *world) dial(client, port int) flow.Dial {
	return func(ctx context.Context) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		return w.Modalities[client].Host.Dial(ctx, "tcp", fmt.Sprintf("%s:%d", site.VIP, port))
	}
}

// startFlows opens connections and a transfer on both paths.
func (w *world) startFlows(t *testing.T, bytes, rate int64) (direct, proxied *flow.Flows) {
	t.Helper()
	start := func(name string, client, port int) *flow.Flows {
		f, err := flow.Start(t.Context(), w.dial(client, port), flow.Options{
			Name: name, Connections: connections, Bytes: bytes, Rate: rate, Seed: seed,
		})
		must(t, err)
		t.Cleanup(func() { _ = f.Stop() })
		return f
	}
	return start("direct routing", 0, directPort), start("the proxy", 1, proxiedPort)
}
