package install

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/truepacs/balancer/e2e/cluster"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/pacs"
	"github.com/truepacs/balancer/e2e/site"
)

const (
	namespace = "truepacs-system"
	caFile    = "/etc/pacs-ca.pem"
	root      = "../../.."
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func chart(name string) string { return filepath.Join(root, "charts", name) }

// world is a cluster with one worker, which is the director, and outside of it two PACS servers
// and a client.
type world struct {
	cluster *cluster.Cluster
	servers []*pacs.Orthanc
	client  *lab.Namespace
}

func (w *world) worker() *cluster.Worker { return w.cluster.Workers[0] }

func newWorld(t *testing.T, ctx context.Context) *world {
	t.Helper()
	archive := buildImage(t, ctx)
	c, err := cluster.Start(ctx, cluster.Options{Log: t.Logf, Labels: map[string]string{"lb.truepacs.io/director": "true"}})
	must(t, err)
	w := &world{cluster: c}
	t.Cleanup(func() {
		if t.Failed() {
			w.explain(t)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	must(t, c.LoadImage(ctx, archive))
	for i, name := range []string{"pacs-a", "pacs-b"} {
		w.addServer(t, ctx, name, fmt.Sprintf("192.0.2.%d/24", 11+i))
	}
	w.client, err = c.Lab.Namespace("ct-1", lab.NIC{Network: c.LAN, Addresses: lab.Prefixes("192.0.2.51/24")})
	must(t, err)
	return w
}

// buildImage packs the program that make built.
func buildImage(t *testing.T, ctx context.Context) string {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "truepacs.tar")
	cmd := exec.CommandContext(ctx, "go", "run", "./hack/image", "-program", "bin/truepacs",
		"-output", archive, "-reference", "docker.io/truepacs/balancer:v0.1.0")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pack the image (run make build first): %v\n%s", err, out)
	}
	return archive
}

// addServer adds a PACS server and prepares it for direct routing by hand: no agent runs on it.
func (w *world) addServer(t *testing.T, ctx context.Context, name, address string) {
	t.Helper()
	host, err := w.cluster.Lab.Namespace(name, lab.NIC{Network: w.cluster.LAN, Addresses: lab.Prefixes(address)})
	must(t, err)
	for _, command := range []string{
		"echo 1 > /proc/sys/net/ipv4/conf/eth0/arp_ignore",
		"echo 2 > /proc/sys/net/ipv4/conf/eth0/arp_announce",
		"ip address add " + site.VIP + "/32 dev lo",
	} {
		result, err := host.Run(ctx, "sh", "-c", command)
		must(t, err)
		if result.ExitCode != 0 {
			t.Fatalf("%s on %s: %s", command, name, result.Stderr)
		}
	}
	server, err := pacs.StartOrthanc(ctx, host)
	must(t, err)
	w.servers = append(w.servers, server)
}

func (w *world) kubectl(t *testing.T, ctx context.Context, args ...string) string {
	t.Helper()
	out, err := w.cluster.Kubectl(ctx, args...)
	must(t, err)
	return out
}

// helm runs the pinned Helm in the control plane's network namespace.
func (w *world) helm(t *testing.T, ctx context.Context, args ...string) {
	t.Helper()
	program, err := filepath.Abs(filepath.Join(root, ".cache", "bin", "helm"))
	must(t, err)
	argv := append([]string{"--net=" + w.cluster.Netns(), program, "--kubeconfig", w.cluster.Kubeconfig()}, args...)
	cmd := exec.CommandContext(ctx, "nsenter", argv...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+t.TempDir(), "HELM_CONFIG_HOME="+t.TempDir(), "HELM_DATA_HOME="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("helm %v: %v\n%s", args, err, out)
	}
}

// awaitPods waits for the operator and the DaemonSets that it makes.
func (w *world) awaitPods(t *testing.T, ctx context.Context) {
	t.Helper()
	for _, set := range []string{"truepacs-agent", "truepacs-proxy"} {
		w.kubectl(t, ctx, "wait", "daemonset/"+set, "--namespace", namespace, "--for=create", "--timeout=60s")
		w.kubectl(t, ctx, "rollout", "status", "daemonset/"+set, "--namespace", namespace, "--timeout=120s")
	}
}

// checkSecurity holds the capabilities that the kernel shows of the processes, and the pods'
// security contexts, against what the documentation promises.
func (w *world) checkSecurity(t *testing.T, ctx context.Context) {
	t.Helper()
	// CapEff of linux/capability.h: NET_BIND_SERVICE 10, NET_ADMIN 12, NET_RAW 13.
	for role, want := range map[string]string{"agent": "0000000000003400", "proxy": "0000000000000000"} {
		out, err := w.worker().Output(ctx, "for p in $(pgrep -f '^/truepacs "+role+"'); do grep -H -E 'CapEff|NoNewPrivs|Seccomp:|^Uid' /proc/$p/status; done")
		must(t, err)
		for _, part := range []string{"CapEff:\t" + want, "NoNewPrivs:\t1", "Seccomp:\t2"} {
			if !strings.Contains(out, part) {
				t.Errorf("process of %s lacks %q:\n%s", role, part, out)
			}
		}
	}
	var pods corev1.PodList
	must(t, json.Unmarshal([]byte(w.kubectl(t, ctx, "get", "pods", "--namespace", namespace, "-o", "json")), &pods))
	for i := range pods.Items {
		pod := &pods.Items[i]
		for _, c := range pod.Spec.Containers {
			s := c.SecurityContext
			if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.Privileged != nil && *s.Privileged {
				t.Errorf("pod %s: its root file system is writable or it is privileged", pod.Name)
			}
			if len(c.Ports) > 0 && pod.Spec.HostNetwork {
				t.Errorf("pod %s on the host's network declares ports: a surge could never be scheduled", pod.Name)
			}
		}
	}
	if len(pods.Items) < 3 {
		t.Errorf("%d pods only", len(pods.Items))
	}
}

// explain prints what helps to understand a failure.
func (w *world) explain(t *testing.T) {
	ctx := context.Background()
	for _, args := range [][]string{
		{"get", "pods", "-A", "-o", "wide"}, {"get", "tpb,tpr,tpn", "-A", "-o", "yaml"},
		{"describe", "pods", "--namespace", namespace},
		{"logs", "--namespace", namespace, "deployment/truepacs-operator", "--tail=50"},
		{"logs", "--namespace", namespace, "daemonset/truepacs-agent", "--tail=80"},
		{"logs", "--namespace", namespace, "daemonset/truepacs-proxy", "--tail=50"},
	} {
		out, err := w.cluster.Kubectl(ctx, args...)
		t.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	for _, command := range []string{"ipvsadm -Ln", "nft list ruleset", "ip -4 address"} {
		out, err := w.worker().Output(ctx, command)
		t.Logf("%s: %v\n%s", command, err, out)
	}
}
