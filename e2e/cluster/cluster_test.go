package cluster_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/cluster"
	"github.com/truepacs/balancer/e2e/lab"
)

const pods = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: holder, namespace: default}
spec:
  selector: {matchLabels: {app: holder}}
  template:
    metadata: {labels: {app: holder}}
    spec:
      containers: [{name: holder, image: "truepacs.test/pause:1"}]
`

// TestCluster starts a worker, runs a pod with an address of its own, reaches the node from a client outside
// the cluster, takes the API server away and back, and cuts the node's power.
func TestCluster(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
	defer cancel()
	began := time.Now()
	c, err := cluster.Start(ctx, cluster.Options{Log: t.Logf, Labels: map[string]string{"lb.truepacs.io/director": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Logf("started after %s", time.Since(began))
	if err := c.Apply(ctx, pods); err != nil {
		t.Fatal(err)
	}
	kubectl(t, ctx, c, "rollout", "status", "daemonset/holder", "--timeout=15m")
	t.Logf("pod runs after %s", time.Since(began))
	t.Log(kubectl(t, ctx, c, "get", "pods,nodes", "-A", "-o", "wide", "--show-labels"))
	if ip := kubectl(t, ctx, c, "get", "pods", "-o", "jsonpath={.items[0].status.podIP}"); !strings.HasPrefix(ip, "10.244.0.") {
		t.Errorf("the pod's address is %q, want one of 10.244.0.0/24", ip)
	}
	client, err := c.Lab.Namespace("client", lab.NIC{Network: c.LAN, Addresses: lab.Prefixes("192.0.2.50/24")})
	if err != nil {
		t.Fatal(err)
	}
	if result, err := client.Run(ctx, "ping", "-c", "1", "-W", "10", c.Workers[0].Address.String()); err != nil || result.ExitCode != 0 {
		t.Errorf("ping from outside: %v %+v", err, result)
	}
	// the API server at its cluster address, as a pod with host network sees it
	if _, err := c.Workers[0].Output(ctx, "socat -u OPEN:/dev/null TCP4:10.96.0.1:443,connect-timeout=10"); err != nil {
		t.Errorf("the API server's cluster address: %v", err)
	}
	powerCut(t, ctx, c)
}

func powerCut(t *testing.T, ctx context.Context, c *cluster.Cluster) {
	t.Helper()
	if err := c.StopAPIServer(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Kubectl(ctx, "get", "nodes", "--request-timeout=5s"); err == nil {
		t.Error("the API server answers although it was stopped")
	}
	if err := c.StartAPIServer(ctx); err != nil {
		t.Fatal(err)
	}
	w := c.Workers[0]
	before := kubectl(t, ctx, c, "get", "node", w.Name(), "-o", "jsonpath={.status.nodeInfo.bootID}")
	if err := w.PowerOff(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := w.PowerOn(ctx); err != nil {
		t.Fatal(err)
	}
	for kubectl(t, ctx, c, "get", "node", w.Name(), "-o", "jsonpath={.status.nodeInfo.bootID}") == before {
		if ctx.Err() != nil {
			t.Fatal("the node does not come back")
		}
		time.Sleep(time.Second)
	}
	if err := c.WaitNodeReady(ctx, w); err != nil {
		t.Fatal(err)
	}
	t.Logf("node back %s after power came back", time.Since(began))
}

func kubectl(t *testing.T, ctx context.Context, c *cluster.Cluster, args ...string) string {
	t.Helper()
	out, err := c.Kubectl(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
