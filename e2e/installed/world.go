package installed

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/cluster"
	"github.com/truepacs/balancer/e2e/cluster/binaries"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

const explainTimeout = time.Minute

// patience is kubectl's for what takes half a minute on an idle machine.
const patience = "--timeout=8m"

// Namespace is the installation's.
const Namespace = "truepacs-system"

// World is a cluster whose first worker is the director; hosts outside of it are the test's.
// Failures of its methods end the test.
type World struct {
	Cluster *cluster.Cluster

	root string // of the module
}

// New starts a cluster of one worker and loads the product's image. It is removed when the test ends.
func New(ctx context.Context, t *testing.T) *World {
	t.Helper()
	return NewWith(ctx, t, cluster.Options{Labels: map[string]string{DirectorLabel: "true"}})
}

// DirectorLabel is what makes a node a director, with the value true.
const DirectorLabel = "lb.truepacs.io/director"

// NewWith is New with another cluster. The first worker should be the director.
func NewWith(ctx context.Context, t *testing.T, options cluster.Options) *World {
	t.Helper()
	root, err := binaries.Root()
	suite.Must(t, err)
	w := &World{root: root}
	archive := w.buildImage(ctx, t)
	options.Log = t.Logf
	w.Cluster, err = cluster.Start(ctx, options)
	suite.Must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			w.explain(t)
		}
		if err := w.Cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	suite.Must(t, w.Cluster.LoadImage(ctx, archive))
	return w
}

// buildImage packs the program of site.Program.
func (w *World) buildImage(ctx context.Context, t *testing.T) string {
	t.Helper()
	program, err := site.Program()
	suite.Must(t, err)
	archive := filepath.Join(t.TempDir(), "truepacs.tar")
	cmd := exec.CommandContext(ctx, "go", "run", "./hack/image", "-program", program,
		"-output", archive, "-reference", "docker.io/truepacs/balancer:v0.1.0")
	cmd.Dir = w.root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pack the image: %v\n%s", err, out)
	}
	return archive
}

// Worker is the director.
func (w *World) Worker() *cluster.Worker { return w.Cluster.Workers[0] }

// Install installs both charts and waits for the operator and the DaemonSets that it makes.
func (w *World) Install(ctx context.Context, t *testing.T) {
	t.Helper()
	chart := func(name string) string { return filepath.Join(w.root, "charts", name) }
	w.helm(ctx, t, "install", "truepacs-crds", chart("truepacs-crds"))
	w.helm(ctx, t, "install", "truepacs", chart("truepacs-balancer"), "--namespace", Namespace, "--create-namespace", "--wait", "--timeout", "8m")
	for _, set := range []string{"truepacs-agent", "truepacs-proxy"} {
		w.Kubectl(ctx, t, "wait", "daemonset/"+set, "--namespace", Namespace, "--for=create", patience)
		w.Kubectl(ctx, t, "rollout", "status", "daemonset/"+set, "--namespace", Namespace, patience)
	}
}

// Apply applies manifests in a namespace, which is made if need be.
func (w *World) Apply(ctx context.Context, t *testing.T, namespace string, manifests ...string) {
	t.Helper()
	if _, err := w.Cluster.Kubectl(ctx, "get", "namespace", namespace); err != nil {
		w.Kubectl(ctx, t, "create", "namespace", namespace)
	}
	for _, manifest := range manifests {
		_, err := w.Cluster.KubectlInput(ctx, strings.NewReader(manifest), "apply", "--namespace", namespace, "-f", "-")
		suite.Must(t, err)
	}
}

// AwaitReady waits until a balancer is Ready with all servers healthy.
func (w *World) AwaitReady(ctx context.Context, t *testing.T, namespace, balancer string) {
	t.Helper()
	for _, condition := range []string{"Ready", "ServersHealthy"} {
		w.Kubectl(ctx, t, "wait", "tpb/"+balancer, "--namespace", namespace, "--for=condition="+condition, patience)
	}
}

// AddServerHost adds a host outside the cluster and prepares it for direct routing by hand: no
// agent runs on it. address is with its prefix length.
func (w *World) AddServerHost(ctx context.Context, t *testing.T, name, address string) *lab.Namespace {
	t.Helper()
	host := w.AddHost(t, name, address)
	for _, command := range []string{
		"echo 1 > /proc/sys/net/ipv4/conf/eth0/arp_ignore",
		"echo 2 > /proc/sys/net/ipv4/conf/eth0/arp_announce",
		"ip address add " + site.VIP + "/32 dev lo",
	} {
		result, err := host.Run(ctx, "sh", "-c", command)
		suite.Must(t, err)
		if result.ExitCode != 0 {
			t.Fatalf("%s on %s: %s", command, name, result.Stderr)
		}
	}
	return host
}

// AddHost adds a host outside the cluster.
func (w *World) AddHost(t *testing.T, name, address string) *lab.Namespace {
	t.Helper()
	host, err := w.Cluster.Lab.Namespace(name, lab.NIC{Network: w.Cluster.LAN, Addresses: lab.Prefixes(address)})
	suite.Must(t, err)
	return host
}

// Kubectl runs kubectl as administrator and returns what it printed.
func (w *World) Kubectl(ctx context.Context, t *testing.T, args ...string) string {
	t.Helper()
	out, err := w.Cluster.Kubectl(ctx, args...)
	suite.Must(t, err)
	return out
}

// OnWorker runs a command line on the worker and returns what it printed.
func (w *World) OnWorker(ctx context.Context, t *testing.T, command string) string {
	t.Helper()
	out, err := w.Worker().Output(ctx, command)
	suite.Must(t, err)
	return out
}

// helm runs the pinned Helm in the control plane's network namespace.
func (w *World) helm(ctx context.Context, t *testing.T, args ...string) {
	t.Helper()
	program := filepath.Join(w.root, ".cache", "bin", "helm")
	argv := append([]string{"--net=" + w.Cluster.Netns(), program, "--kubeconfig", w.Cluster.Kubeconfig()}, args...)
	cmd := exec.CommandContext(ctx, "nsenter", argv...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+t.TempDir(), "HELM_CONFIG_HOME="+t.TempDir(), "HELM_DATA_HOME="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("helm %v: %v\n%s", args, err, out)
	}
}

// explain prints what helps to understand a failure.
func (w *World) explain(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), explainTimeout)
	defer cancel()
	for _, args := range [][]string{
		{"get", "pods", "-A", "-o", "wide"}, {"get", "tpb,tpr,tpn", "-A", "-o", "yaml"},
		{"describe", "pods", "--namespace", Namespace},
		{"logs", "--namespace", Namespace, "deployment/truepacs-operator", "--tail=50"},
	} {
		out, err := w.Cluster.Kubectl(ctx, append(args, "--request-timeout=5s")...)
		t.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	for _, command := range []string{
		"ipvsadm -Ln", "nft list ruleset", "ip -4 address", "cat /proc/locks", "ls -li /run/truepacs",
		"pgrep -af '^/truepacs'", "tail -n 60 /var/log/pods/" + Namespace + "_*/*/*.log", "journalctl -b --no-pager -n 60 -u kubelet",
	} {
		out, err := w.Worker().Output(ctx, command)
		t.Logf("%s: %v\n%s", command, err, out)
	}
}
