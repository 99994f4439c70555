package refusals

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/testutil/printed"
	"github.com/truepacs/balancer/e2e/cluster/binaries"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/paths"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// TestNothingGoesWhenTheAPIServerForgets takes away the definitions, the agent's rights, and all
// data, under running flows. What is programmed stays each time, also over a restart of the agent,
// and is under control again when everything is back.
func TestNothingGoesWhenTheAPIServerForgets(t *testing.T) {
	n := newNode(t)
	n.startFlows(t, 100+2*int64(hold(t)/time.Second))

	n.control.undefine(t)
	n.stays(t, "the definition was deleted")
	n.control.install(t)
	n.obeys(t, "WeightedRoundRobin", "wrr")

	n.control.forbid(t)
	n.control.restartServer(t)
	n.stays(t, "the agent lost its rights")
	n.restartAgent(t)
	n.stays(t, "an agent without rights started")
	n.control.install(t)
	n.obeys(t, "LeastConnection", "lc")

	n.control.wipe(t)
	n.stays(t, "etcd lost its data")
	n.restartAgent(t)
	n.stays(t, "an agent started beside an empty API server")
	n.control.grant(t)
	n.stays(t, "the agent may read the empty API server")
	n.control.define(t)
	n.stays(t, "the definitions are back without a balancer")
	n.control.install(t)
	n.obeys(t, "RoundRobin", "rr")
	n.traffic.Finish(t.Context(), t)
}

// node is a world whose director is the node lb1 of a cluster without other nodes.
type node struct {
	*world
	control *control
	agent   *lab.Process
	printed *printed.Text
}

const kubeconfig = "/etc/truepacs-agent.kubeconfig"

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{world: newWorld(t), printed: &printed.Text{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("agent printed:\n%s", tail(n.printed.String(), 6000))
		}
	})
	n.control = newControl(t, n.world)
	n.control.install(t)
	text, err := n.control.plane.KubeconfigFor(agentUser())
	suite.Must(t, err)
	suite.Must(t, n.Director.Put(limit(t), kubeconfig, strings.NewReader(string(text)), os.FileMode(0o600)))
	n.start(t, "proxy")
	n.agent = n.start(t, "agent", "--node", "lb1", "--namespace", system)
	suite.Must(t, site.Until(limit(t), "the services work", func() error { return n.bothWork(t) }))
	return n
}

// start starts a role of the product, as its pod would.
func (n *node) start(t *testing.T, args ...string) *lab.Process {
	t.Helper()
	p, err := n.Director.Start(context.WithoutCancel(t.Context()), lab.ProcessSpec{
		Argv: append([]string{"/usr/local/bin/truepacs"}, args...),
		Env:  []string{"KUBECONFIG=" + kubeconfig}, Stdout: n.printed, Stderr: n.printed,
	})
	suite.Must(t, err)
	return p
}

// restartAgent kills the agent and starts another.
func (n *node) restartAgent(t *testing.T) {
	t.Helper()
	suite.Must(t, n.agent.Kill())
	<-n.agent.Done()
	n.agent = n.start(t, "agent", "--node", "lb1", "--namespace", system)
}

// hold is how long what is programmed is watched; the agent acts on a loss within seconds.
func hold(t *testing.T) time.Duration {
	t.Helper()
	seconds, err := suite.Number("REFUSALS_HOLD_SECONDS", 10)
	suite.Must(t, err)
	return time.Duration(seconds) * time.Second
}

// stays fails if the address, the kernel's service or one of its servers goes, if a connection is
// cut, or a new one does not work.
func (n *node) stays(t *testing.T, when string) {
	t.Helper()
	looks := 0
	for end := time.Now().Add(hold(t)); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		kernel := n.kernel(t)
		for _, want := range []string{"inet " + site.VIP + "/", "FWM ", "-> 192.0.2.11:", "-> 192.0.2.12:", "LISTEN " + site.VIP} {
			if !strings.Contains(kernel, want) {
				t.Fatalf("%s: the kernel has no %q any more:\n%s", when, want, kernel)
			}
		}
		looks++
	}
	select {
	case <-n.agent.Done():
		t.Fatalf("%s: the agent ended", when)
	default:
	}
	n.goodServicesWork(t, when)
	suite.Verdict(t, "%s: everything stayed, looked %d times in %s", when, looks, hold(t))
}

// kernel is what the director's kernel has: services, addresses, listening sockets.
func (n *node) kernel(t *testing.T) string {
	t.Helper()
	return n.onDirector(t, "sh", "-c", fmt.Sprintf(
		`ipvsadm -Ln && ip -4 -o address show && ss -Hltn 'sport = :%d' | sed 's/  */ /g; s/^LISTEN [0-9]* [0-9]* /LISTEN /'`, paths.Proxied))
}

// obeys applies the balancer with another scheduler and waits until the kernel has it.
func (n *node) obeys(t *testing.T, scheduler, kernel string) {
	t.Helper()
	n.control.schedule(t, scheduler)
	suite.Must(t, site.Until(limit(t), "the director follows again", func() error {
		for line := range strings.Lines(n.kernel(t)) {
			if f := strings.Fields(line); len(f) > 2 && f[0] == "FWM" && f[2] == kernel {
				return nil
			}
		}
		return fmt.Errorf("no service has the scheduler %s", kernel)
	}))
	n.goodServicesWork(t, "under control again")
}

// wipe takes all data of the cluster away, as a lost disk would.
func (c *control) wipe(t *testing.T) {
	t.Helper()
	suite.Must(t, c.plane.StopAPIServer(limit(t)))
	suite.Must(t, c.plane.StopComponent(limit(t), binaries.Etcd))
	suite.Must(t, os.RemoveAll(filepath.Join(c.plane.Dir(), "etcd")))
	suite.Must(t, c.plane.StartComponent(limit(t), binaries.Etcd))
	suite.Must(t, c.plane.StartAPIServer(limit(t)))
}

func (c *control) restartServer(t *testing.T) {
	t.Helper()
	suite.Must(t, c.plane.StopAPIServer(limit(t)))
	suite.Must(t, c.plane.StartAPIServer(limit(t)))
}
