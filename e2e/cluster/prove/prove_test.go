package prove_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/cluster"
)

const image = "truepacs.test/probe:1"

// patience bounds every step; it is there to end a hang, and far above what a step takes on a busy machine.
const patience = 15 * time.Minute

// shared is the cluster of all proofs of this run: one worker, with the probe's image on it.
var shared = sync.OnceValues(func() (*cluster.Cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	dir, err := os.MkdirTemp("", "truepacs-prove-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	archive, err := cluster.BuildImage(ctx, dir, "./e2e/cluster/prove/probe", image)
	if err != nil {
		return nil, err
	}
	c, err := cluster.Start(ctx, cluster.Options{Name: "prove"})
	if err != nil {
		return nil, err
	}
	return c, c.LoadImage(ctx, archive)
})

var used bool

func TestMain(m *testing.M) {
	code := m.Run()
	if used {
		if c, _ := shared(); c != nil {
			if err := c.Close(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// bench is the cluster and the namespace of one proof.
type bench struct {
	*testing.T
	ctx       context.Context
	c         *cluster.Cluster
	node      *cluster.Worker
	namespace string
}

func newBench(t *testing.T, namespace string) *bench {
	t.Helper()
	used = true
	c, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	b := &bench{T: t, ctx: ctx, c: c, node: c.Workers[0], namespace: namespace}
	t.Cleanup(cancel)
	b.kubectl("create", "namespace", namespace)
	t.Cleanup(func() {
		if out, err := c.Kubectl(ctx, "delete", "namespace", namespace, "--timeout=15m"); err != nil {
			t.Error(out, err)
		}
	})
	return b
}

func (b *bench) verdict(format string, args ...any) { b.Helper(); b.Logf("VERDICT "+format, args...) }

func (b *bench) kubectl(args ...string) string {
	b.Helper()
	out, err := b.c.Kubectl(b.ctx, append([]string{"-n", b.namespace}, args...)...)
	if err != nil {
		b.Fatal(err)
	}
	return out
}

// apply creates the objects and waits until the named DaemonSets are rolled out.
func (b *bench) apply(manifest string, daemonSets ...string) {
	b.Helper()
	if err := b.c.Apply(b.ctx, manifest); err != nil {
		b.Fatal(err)
	}
	for _, name := range daemonSets {
		if _, err := b.c.Kubectl(b.ctx, "-n", b.namespace, "rollout", "status", "daemonset/"+name, "--timeout=15m"); err != nil {
			out, _ := b.c.Kubectl(b.ctx, "-n", b.namespace, "describe", "pods")
			b.Fatal(err, out)
		}
	}
}

// try runs an experiment in the DaemonSet's pod and returns what it printed and whether the kernel let it.
func (b *bench) try(daemonSet string, experiment ...string) (string, bool) {
	b.Helper()
	out, err := b.c.Kubectl(b.ctx, append([]string{"-n", b.namespace, "exec", "daemonset/" + daemonSet, "--", "/probe"}, experiment...)...)
	if err != nil && !strings.Contains(err.Error(), "exit code 1") {
		b.Fatal(err)
	}
	out = strings.TrimSpace(out)
	b.Logf("%s: probe %s: %s", daemonSet, strings.Join(experiment, " "), out)
	return out, err == nil
}

// must is try for experiments that the design needs to succeed.
func (b *bench) must(daemonSet string, experiment ...string) string {
	b.Helper()
	out, ok := b.try(daemonSet, experiment...)
	if !ok {
		b.Errorf("probe %v in %s was refused: %s", experiment, daemonSet, out)
	}
	return out
}

// mustNot is try for experiments that the design takes to be impossible.
func (b *bench) mustNot(daemonSet string, experiment ...string) string {
	b.Helper()
	out, ok := b.try(daemonSet, experiment...)
	if ok {
		b.Errorf("probe %v in %s was allowed: %s", experiment, daemonSet, out)
	}
	return out
}

// onNode runs a command line on the node.
func (b *bench) onNode(command string) string {
	b.Helper()
	out, err := b.node.Output(b.ctx, command)
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// wait polls until ok and returns how long that took.
func (b *bench) wait(what string, ok func() bool) time.Duration {
	b.Helper()
	took, seen := b.within(patience, ok)
	if !seen {
		b.Fatalf("not seen within %s: %s", patience, what)
	}
	return took
}

// within is wait that may end without success.
func (b *bench) within(limit time.Duration, ok func() bool) (time.Duration, bool) {
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if ok() {
			return time.Since(began).Round(100 * time.Millisecond), true
		}
		if time.Since(began) > limit {
			return limit, false
		}
	}
}

// A pod's security context, as the product intends it.
const (
	agentContext = `{runAsUser: 0, runAsGroup: 0, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, seccompProfile: {type: RuntimeDefault}, capabilities: {drop: [ALL], add: [NET_ADMIN, NET_RAW, NET_BIND_SERVICE]}}`
	proxyContext = `{runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, seccompProfile: {type: RuntimeDefault}, capabilities: {drop: [ALL]}}`
	boundContext = `{runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, seccompProfile: {type: RuntimeDefault}, capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}`
)

// daemon is a DaemonSet on the host network.
type daemon struct {
	name, context string
	args          []string
	pod           string   // more lines of the pod's spec
	container     string   // more lines of the container
	mounts        []string // "<path in the pod>=<path on the host>[=<hostPath type>]"
}

func (b *bench) manifest(d daemon) string {
	var volumes, mounts strings.Builder
	for i, m := range d.mounts {
		parts := append(strings.Split(m, "="), "")
		fmt.Fprintf(&volumes, "      - {name: v%d, hostPath: {path: %s, type: %q}}\n", i, parts[1], parts[2])
		fmt.Fprintf(&mounts, "        - {name: v%d, mountPath: %s}\n", i, parts[0])
	}
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: %[1]s, namespace: %[2]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  updateStrategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      hostNetwork: true
      automountServiceAccountToken: false
      tolerations: [{operator: Exists}]
%[5]s
      containers:
      - name: main
        image: %[9]s
        args: [%[3]s]
        securityContext: %[4]s
%[6]s
        volumeMounts:
        - {name: state, mountPath: /state}
%[8]s
      volumes:
      - {name: state, emptyDir: {medium: Memory}}
%[7]s---
`, d.name, b.namespace, strings.Join(d.args, ", "), d.context, d.pod, d.container, volumes.String(), mounts.String(), image)
}
