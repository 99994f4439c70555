package refusals

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/flow"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/site"
)

// Ports of the good services.
const (
	directPort  = 7007
	proxiedPort = 7107
)

// goodManifest has one service on each path to the same TCP servers.
const goodManifest = `apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata: {name: flows, namespace: default}
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

// connections stay open on each path; rate is that of each transfer in bytes per second.
const (
	connections = 20
	rate        = 1 << 20
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
	flows []*flow.Flows
}

// newWorld builds the site; the product runs on the servers only.
func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := site.New(t.Context(), site.Options{Binary: binary(t), Log: t.Logf, Tools: []string{"pidof"}})
	must(t, err)
	w := &world{Site: s}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, server := range s.Servers {
		l, err := server.Host.(*lab.Namespace).Listen(t.Context(), "tcp4", fmt.Sprintf("0.0.0.0:%d", flow.Port))
		must(t, err)
		f := flow.Serve(l)
		t.Cleanup(func() { _ = f.Close() })
		must(t, server.Host.Put(t.Context(), site.ManifestDir+"/flows.yaml", strings.NewReader(goodManifest), 0o600))
		must(t, s.StartAgent(t.Context(), server.Host))
	}
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// limit bounds a step far beyond what it takes on a slow machine.
func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// onDirector runs a command and returns what it printed.
func (w *world) onDirector(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := w.MustRun(limit(t), w.Director, argv...)
	must(t, err)
	return out
}

// dial opens connections from a modality's host.
func (w *world) dial(client, port int) flow.Dial {
	return func(ctx context.Context) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		return w.Modalities[client].Host.Dial(ctx, "tcp", fmt.Sprintf("%s:%d", site.VIP, port))
	}
}

// startFlows opens connections and a transfer of some MiB on both paths.
func (w *world) startFlows(t *testing.T, size int64) {
	t.Helper()
	for i, port := range []int{directPort, proxiedPort} {
		name := map[int]string{directPort: "direct routing", proxiedPort: "the proxy"}[port]
		f, err := flow.Start(t.Context(), w.dial(i, port), flow.Options{
			Name: name, Connections: connections, Bytes: size << 20, Rate: rate, Seed: uint64(port),
		})
		must(t, err)
		t.Cleanup(func() { _ = f.Stop() })
		w.flows = append(w.flows, f)
	}
}

// goodServicesWork fails if a connection was cut or a new one does not work.
func (w *world) goodServicesWork(t *testing.T, when string) {
	t.Helper()
	for _, f := range w.flows {
		for _, err := range f.Cut() {
			t.Errorf("%s: %v", when, err)
		}
		if !f.Running() {
			t.Errorf("%s: no transfer is under way, the sample is empty", when)
		}
	}
	for _, port := range []int{directPort, proxiedPort} {
		if err := w.tryOnce(t, port); err != nil {
			t.Errorf("%s: a new connection to port %d: %v", when, port, err)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

// tryOnce opens a connection and exchanges a few bytes.
func (w *world) tryOnce(t *testing.T, port int) error {
	f, err := flow.Start(limit(t), w.dial(2, port), flow.Options{Name: "a new connection", Connections: 1, Bytes: 1000, Rate: rate})
	if err != nil {
		return err
	}
	return f.Finish(limit(t))
}

// finish ends the flows: every byte must have arrived.
func (w *world) finish(t *testing.T) {
	t.Helper()
	for _, f := range w.flows {
		if err := f.Finish(limit(t)); err != nil {
			t.Error(err)
		}
		if f.Beats() == 0 {
			t.Error("no exchange took place, the sample is empty")
		}
		t.Logf("%d exchanges on %d connections and %d MiB, none cut", f.Beats(), connections, f.Sent()>>20)
	}
}
