package outages

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/cluster"
	"github.com/truepacs/balancer/e2e/installed"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/paths"
	"github.com/truepacs/balancer/e2e/suite"
)

const namespace = "imaging"

// world is an installed cluster with the static pod in place, and outside of it flow servers and
// clients.
type world struct {
	*installed.World
	servers paths.Servers
	clients map[paths.Path]*lab.Namespace
}

func newWorld(t *testing.T, ctx context.Context) *world {
	t.Helper()
	w := &world{World: installed.New(ctx, t), clients: map[paths.Path]*lab.Namespace{}}
	for i, name := range []string{"pacs-a", "pacs-b"} {
		w.servers.Serve(ctx, t, w.AddServerHost(ctx, t, name, fmt.Sprintf("192.0.2.%d/24", 11+i)))
	}
	for i, path := range paths.Both() {
		w.clients[path] = w.AddHost(t, fmt.Sprintf("ct-%d", i+1), fmt.Sprintf("192.0.2.%d/24", 51+i))
	}
	w.Install(ctx, t)
	w.placeStaticPod(t, ctx)
	w.Apply(ctx, t, namespace, paths.Balancer())
	w.AwaitReady(ctx, t, namespace, "flows")
	suite.Must(t, within(ctx, "both servers have weight", w.bothServe))
	return w
}

// placeStaticPod does what the guide says: the manifest comes from the operator's pod.
func (w *world) placeStaticPod(t *testing.T, ctx context.Context) {
	t.Helper()
	manifest := w.Kubectl(ctx, t, "exec", "--namespace", installed.Namespace, "deployment/truepacs-operator", "--",
		"/truepacs", "cold-start-pod", "--settings", "/etc/truepacs/settings.yaml")
	suite.Must(t, w.Worker().Put(ctx, cluster.StaticPodDir+"/truepacs-cold-start.yaml", strings.NewReader(manifest), 0o600))
	suite.Must(t, within(ctx, "the static pod runs", func(ctx context.Context) error {
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
	return paths.Lasting(w.OnWorker(ctx, t, "ipvsadm -Sn && nft --stateless list table inet truepacs && ip -4 -o address show dev lo && ip -4 -o address show dev eth0"))
}

// bothServe tells whether the kernel sends new connections to both servers.
func (w *world) bothServe(ctx context.Context) error {
	out, err := w.Worker().Output(ctx, "ipvsadm -Sn")
	if err == nil && (strings.Count(out, " -r ") != len(w.servers) || strings.Contains(out, "-w 0")) {
		err = fmt.Errorf("the kernel has:\n%s", out)
	}
	return err
}

// tryOnce opens a connection and exchanges a few bytes.
func (w *world) tryOnce(ctx context.Context, path paths.Path) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return path.Ping(ctx, w.clients[path])
}

// start opens connections and begins a transfer on both paths.
func (w *world) start(t *testing.T, ctx context.Context, load paths.Load) *paths.Traffic {
	t.Helper()
	return w.servers.Start(ctx, t, load, w.clients[paths.Direct], w.clients[paths.Proxied])
}
