package nodes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/cluster"
	"github.com/truepacs/balancer/e2e/installed"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

const connections = 20

// world is a cluster of two workers, both of them servers and the first the director, and a client
// outside.
type world struct {
	*installed.World
	client   *lab.Namespace
	director string
	server   *cluster.Worker
}

// TestNodesAreRealServers tells the story of the package.
func TestNodesAreRealServers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
	defer cancel()
	w := newWorld(t, ctx)
	before, err := w.state(ctx)
	suite.Must(t, err)
	w.Apply(ctx, t, namespace, pods, balancer)
	w.AwaitReady(ctx, t, namespace, "archive")
	w.balanced(t, ctx, "both nodes serve")
	w.reboot(t, ctx)
	w.drain(t, ctx)
	w.Kubectl(ctx, t, "delete", "tpb", "archive", "--namespace", namespace, "--timeout=60s")
	w.givenBack(t, ctx, before)
	suite.Verdict(t, "3 times %d connections to pods on 2 nodes, one of them the director, 1 power failure, 1 pod that ended with a connection; no seed, nothing is random", connections)
}

func newWorld(t *testing.T, ctx context.Context) *world {
	t.Helper()
	w := &world{World: installed.NewWith(ctx, t, cluster.Options{Workers: 2, Labels: map[string]string{"archive": "true"}})}
	w.director, w.server = w.Worker().Name(), w.Cluster.Workers[1]
	w.client = w.AddHost(t, "ct-1", "192.0.2.51/24")
	archive, err := cluster.BuildImage(ctx, t.TempDir(), "./e2e/suites/nodes/answer", image)
	suite.Must(t, err)
	suite.Must(t, w.Cluster.LoadImage(ctx, archive))
	w.Kubectl(ctx, t, "label", "node", w.director, installed.DirectorLabel+"=true")
	w.Install(ctx, t)
	return w
}

// state is all of the server's node that direct routing needs changed. Interfaces of pods come and go.
func (w *world) state(ctx context.Context) (string, error) {
	return w.server.Output(ctx, "ip -o address show dev lo; cd /proc/sys/net/ipv4/conf; grep -H . all/arp_* default/arp_* lo/arp_* eth0/arp_*; nft list tables | grep truepacs || true")
}

// connect opens a connection and returns it with the name of the node that answers.
func (w *world) connect(ctx context.Context) (net.Conn, string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := w.client.Dial(ctx, "tcp", service)
	if err != nil {
		return nil, "", err
	}
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline)
	name, err := bufio.NewReaderSize(c, 16).ReadString('\n')
	if err != nil {
		return nil, "", errors.Join(err, c.Close())
	}
	_ = c.SetDeadline(time.Time{})
	return c, strings.TrimSpace(name), nil
}

// round opens connections and counts who answers.
func (w *world) round(ctx context.Context) (map[string]int, error) {
	seen := map[string]int{}
	for range connections {
		c, name, err := w.connect(ctx)
		if err != nil {
			return seen, err
		}
		seen[name]++
		_ = c.Close()
	}
	return seen, nil
}

// balanced waits until every connection is answered and both nodes answer, and sees in a capture that the
// second node answers itself.
func (w *world) balanced(t *testing.T, ctx context.Context, what string) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	suite.Must(t, site.Until(limited, what, func() error {
		seen, err := w.round(limited)
		if err == nil && (seen[w.director] == 0 || seen[w.server.Name()] == 0) {
			err = fmt.Errorf("connections went to %v", seen)
		}
		return err
	}))
	capture, err := w.client.Capture(ctx, "eth0", "tcp src port 8104 and tcp[tcpflags] & tcp-syn != 0")
	suite.Must(t, err)
	seen, err := w.round(ctx)
	suite.Must(t, err)
	frames, err := capture.Frames()
	suite.Must(t, err)
	own := 0
	for _, f := range frames {
		if f.SourceMAC.String() == w.server.MAC("eth0") {
			own++
		}
	}
	if len(frames) < connections || own != seen[w.server.Name()] || own == 0 {
		t.Errorf("%s: of %d answers %d came from the server's own MAC address, and connections went to %v", what, len(frames), own, seen)
	}
	t.Logf("%s: %d connections went to %v; %d answers came from the server's own MAC address", what, connections, seen, own)
}

// reboot takes the server's power away. Nobody prepares the node again but the agent on it.
func (w *world) reboot(t *testing.T, ctx context.Context) {
	t.Helper()
	suite.Must(t, w.server.PowerOff())
	suite.Must(t, w.server.PowerOn(ctx))
	began := time.Now()
	w.balanced(t, ctx, "after a power failure of the server")
	t.Logf("it was prepared and in service %s after its kernel was up", time.Since(began).Round(time.Second))
}

// drain deletes the server's pod while it has a connection: the pod goes on for a while, serving and
// terminating.
func (w *world) drain(t *testing.T, ctx context.Context) {
	t.Helper()
	held := w.hold(t, ctx)
	defer held.Close()
	// The DaemonSet must not put a new pod in its place before the old one has ended.
	w.Kubectl(ctx, t, "label", "node", w.server.Name(), "archive-")
	limited, cancel := context.WithTimeout(ctx, grace*time.Second)
	defer cancel()
	suite.Must(t, site.Until(limited, "the kernel gives the pod that ends no new connection", func() error {
		out, err := w.Worker().Output(limited, "ipvsadm -Ln | grep "+w.server.Address.String()+":")
		if err == nil && !strings.Contains(strings.Join(strings.Fields(out), " "), " Route 0 ") {
			err = fmt.Errorf("ipvsadm: %s", out)
		}
		return err
	}))
	seen, err := w.round(ctx)
	suite.Must(t, err)
	if seen[w.director] != connections {
		t.Errorf("while a pod ended, new connections went to %v", seen)
	}
	repeats(t, held)
	pod := w.Kubectl(ctx, t, "get", "pods", "--namespace", namespace, "--field-selector", "spec.nodeName="+w.server.Name(), "-o", "jsonpath={.items[*].metadata.deletionTimestamp}")
	if pod == "" {
		t.Error("the pod had ended before the connection was tried: nothing was drained")
	}
	t.Logf("a pod ends: its connection goes on, %d new connections went to %v", connections, seen)
}

// hold opens a connection to the server's pod.
func (w *world) hold(t *testing.T, ctx context.Context) net.Conn {
	t.Helper()
	for range 10 {
		c, name, err := w.connect(ctx)
		suite.Must(t, err)
		if name == w.server.Name() {
			repeats(t, c)
			return c
		}
		_ = c.Close()
	}
	t.Fatal("10 connections, none to the server")
	return nil
}

// repeats says something over a connection and hears it again.
func repeats(t *testing.T, c net.Conn) {
	t.Helper()
	const said = "still there?"
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, err := io.WriteString(c, said)
	suite.Must(t, err)
	heard := make([]byte, len(said))
	if _, err := io.ReadFull(c, heard); err != nil || string(heard) != said {
		t.Fatalf("the connection to the pod that ends: %q, %v", heard, err)
	}
}

// givenBack waits until the server's node is as it was.
func (w *world) givenBack(t *testing.T, ctx context.Context, before string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	suite.Must(t, site.Until(ctx, "the node is as it was", func() error {
		now, err := w.state(ctx)
		if err == nil && now != before {
			err = fmt.Errorf("it was\n%s\nand is\n%s", before, now)
		}
		return err
	}))
	if !strings.Contains(before, "arp_ignore:") {
		t.Errorf("the node's state says nothing:\n%s", before)
	}
}
