package prove_test

import (
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/cluster"
)

// unseen is how long we look for what kubelet is expected not to do; it needs 3 s for it where it does.
const unseen = 45 * time.Second

// staticPod is what a kubelet can start without an API server: a file of its own.
const staticPod = `
apiVersion: v1
kind: Pod
metadata: {name: cold, namespace: default}
spec:
  hostNetwork: true
  containers:
  - name: main
    image: ` + image + `
    args: [keep, "192.0.2.101:443", eth0, /share/cold.sock, "0600", "0"]
    securityContext: ` + agentContext + `
    volumeMounts: [{name: share, mountPath: /share}]
  volumes: [{name: share, hostPath: {path: /run/truepacs-cold, type: DirectoryOrCreate}}]
`

// TestProveWithoutAPIServer: what kubelet does for a DaemonSet's and a static pod while no API server answers:
// a container that ended, a restart of kubelet, and a cold start of the machine.
func TestProveWithoutAPIServer(t *testing.T) {
	b := newBench(t, "apidown")
	b.apply(b.manifest(daemon{name: "agent", context: agentContext, args: []string{"idle"}}), "agent")
	if err := b.c.StopAPIServer(b.ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.c.StartAPIServer(b.ctx); err != nil {
			t.Error(err)
		}
	})
	old := probePID(b)
	b.onNode("kill -KILL " + old)
	took := b.wait("kubelet restarts the container", func() bool { p := probePID(b); return p != "" && p != old })
	b.verdict("f1: API server down, the DaemonSet's container killed: kubelet started it again after %s", took)

	kept := probePID(b)
	b.onNode("systemctl restart kubelet")
	time.Sleep(20 * time.Second)
	b.verdict("f2: kubelet restarted with the API server down: the container went on: %v", probePID(b) == kept)
	b.onNode("kill -KILL " + kept)
	took, restarted := b.within(unseen, func() bool { return probePID(b) != "" })
	b.verdict("f3: then the container killed: started again: %v, after %s of looking", restarted, took)
	proveColdStart(b)
}

func proveColdStart(b *bench) {
	b.Helper()
	if err := b.node.Put(b.ctx, cluster.StaticPodDir+"/cold.yaml", strings.NewReader(staticPod), 0o600); err != nil {
		b.Fatal(err)
	}
	took := b.wait("the static pod", func() bool { return coldStarted(b) })
	b.verdict("f4: static pod file written with the API server down: serving after %s", took)
	b.onNode("sync")
	if err := b.node.PowerOff(); err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := b.node.PowerOn(b.ctx); err != nil {
		b.Fatal(err)
	}
	booted := time.Since(began)
	b.wait("kubelet", func() bool { return b.onNode("systemctl is-active kubelet || true") == "active" })
	kubelet := time.Since(began)
	b.wait("the static pod", func() bool { return coldStarted(b) })
	b.verdict("f5: power cut and back, API server down: machine answers after %s, kubelet active after %s, static pod serves after %s",
		booted.Round(time.Second/10), kubelet.Round(time.Second/10), time.Since(began).Round(time.Second/10))
	took, started := b.within(unseen, func() bool { return probePID(b) != "" })
	b.verdict("f6: the DaemonSet's pod started without API server: %v, after %s of looking", started, took)
	if started {
		b.Error("kubelet starts DaemonSet pods without API server: the design's static pod is needless")
	}
	if err := b.c.StartAPIServer(b.ctx); err != nil {
		b.Fatal(err)
	}
	took = b.wait("the DaemonSet's pod", func() bool { return probePID(b) != "" })
	b.verdict("f7: API server back: the DaemonSet's pod runs after %s", took)
	b.onNode("rm " + cluster.StaticPodDir + "/cold.yaml; sync")
	b.wait("the static pod ends", func() bool { return !coldStarted(b) })
}

// probePID is the process of the DaemonSet's container, "" when none runs.
func probePID(b *bench) string {
	b.Helper()
	return b.onNode("pgrep -x -f '/probe idle' || true")
}

// coldStarted says whether the static pod has opened its listener.
func coldStarted(b *bench) bool {
	b.Helper()
	return b.onNode("ss -Hltn 'src 192.0.2.101'") != ""
}
