package outages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/cluster"
	"github.com/truepacs/balancer/e2e/flow"
	"github.com/truepacs/balancer/e2e/installed"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/site"
)

// balancer has one service on each path to the same TCP servers.
const balancer = `apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata: {name: flows}
spec:
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

const (
	namespace   = "imaging"
	directPort  = 7007
	proxiedPort = 7107
)

var paths = []struct {
	name string
	port int
}{{"direct routing", directPort}, {"the proxy", proxiedPort}}

// world is an installed cluster with the static pod in place, and outside of it flow servers and
// clients.
type world struct {
	*installed.World
	servers []*flow.Server
	clients map[int]*lab.Namespace // by port
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T, ctx context.Context) *world {
	t.Helper()
	w := &world{World: installed.New(ctx, t), clients: map[int]*lab.Namespace{}}
	for i, name := range []string{"pacs-a", "pacs-b"} {
		host := w.AddServerHost(ctx, t, name, fmt.Sprintf("192.0.2.%d/24", 11+i))
		l, err := host.Listen(ctx, "tcp4", fmt.Sprintf("0.0.0.0:%d", flow.Port))
		must(t, err)
		server := flow.Serve(l)
		t.Cleanup(func() { _ = server.Close() })
		w.servers = append(w.servers, server)
	}
	for i, path := range paths {
		w.clients[path.port] = w.AddHost(t, fmt.Sprintf("ct-%d", i+1), fmt.Sprintf("192.0.2.%d/24", 51+i))
	}
	w.Install(ctx, t)
	w.placeStaticPod(t, ctx)
	w.Apply(ctx, t, namespace, balancer)
	w.AwaitReady(ctx, t, namespace, "flows")
	must(t, within(ctx, "both servers have weight", w.bothServe))
	return w
}

// placeStaticPod does what the guide says: the manifest comes from the operator's pod.
func (w *world) placeStaticPod(t *testing.T, ctx context.Context) {
	t.Helper()
	manifest := w.Kubectl(ctx, t, "exec", "--namespace", installed.Namespace, "deployment/truepacs-operator", "--",
		"/truepacs", "cold-start-pod", "--settings", "/etc/truepacs/settings.yaml")
	must(t, w.Worker().Put(ctx, cluster.StaticPodDir+"/truepacs-cold-start.yaml", strings.NewReader(manifest), 0o600))
	must(t, within(ctx, "the static pod runs", func(ctx context.Context) error {
		_, errAgent := w.find(ctx, coldStartAgent)
		_, errProxy := w.find(ctx, coldStartProxy)
		return errors.Join(errAgent, errProxy)
	}))
	w.OnWorker(ctx, t, "sync")
}

// kernelState is what the kernel has programmed, without counters. The bridge of the network
// plug-in, which comes with the first pod, is not ours.
func (w *world) kernelState(t *testing.T, ctx context.Context) string {
	t.Helper()
	return w.OnWorker(ctx, t, "ipvsadm -Sn && nft list table inet truepacs && ip -4 -o address show dev lo && ip -4 -o address show dev eth0")
}

// bothServe tells whether the kernel sends new connections to both servers.
func (w *world) bothServe(ctx context.Context) error {
	out, err := w.Worker().Output(ctx, "ipvsadm -Sn")
	if err == nil && (strings.Count(out, " -r ") != len(w.servers) || strings.Contains(out, "-w 0")) {
		err = fmt.Errorf("the kernel has:\n%s", out)
	}
	return err
}

func (w *world) dial(port int) flow.Dial {
	return func(ctx context.Context) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		return w.clients[port].Dial(ctx, "tcp", fmt.Sprintf("%s:%d", site.VIP, port))
	}
}

// tryOnce opens a connection and exchanges a few bytes.
func (w *world) tryOnce(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	c, err := w.dial(port)(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return ping(c)
}

// ping exchanges a few bytes with a flow server.
func ping(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("E?")); err != nil {
		return err
	}
	var back [1]byte
	_, err := io.ReadFull(c, back[:])
	return err
}

// startFlows opens connections and a transfer on both paths.
func (w *world) startFlows(t *testing.T, ctx context.Context) (direct, proxied *flow.Flows) {
	t.Helper()
	var all [2]*flow.Flows
	for i, path := range paths {
		f, err := flow.Start(ctx, w.dial(path.port), flow.Options{
			Name: path.name, Connections: connections, Interval: interval, Bytes: transfer, Rate: rate, Seed: seed,
		})
		must(t, err)
		t.Cleanup(func() { _ = f.Stop() })
		all[i] = f
	}
	return all[0], all[1]
}

// finish lets the transfers end and tells what was cut.
func (w *world) finish(t *testing.T, ctx context.Context, flows ...*flow.Flows) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for i, f := range flows {
		if err := f.Finish(ctx); err != nil {
			t.Error(err)
		}
		if f.Beats() == 0 || f.Sent() != transfer {
			t.Errorf("%d exchanges and %d bytes, the sample is empty", f.Beats(), f.Sent())
		}
		t.Logf("%s: %d exchanges, %d MiB", paths[i].name, f.Beats(), f.Sent()>>20)
	}
	for i, s := range w.servers {
		if s.Total() < connections/2 {
			t.Errorf("server %d got %d connections only", i, s.Total())
		}
	}
}
