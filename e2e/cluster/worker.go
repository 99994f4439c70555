package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/e2e/cluster/binaries"
	"github.com/truepacs/balancer/e2e/cluster/controlplane"
	"github.com/truepacs/balancer/e2e/cluster/nodeimage"
	"github.com/truepacs/balancer/e2e/cluster/pki"
	"github.com/truepacs/balancer/e2e/lab"
)

// Worker is a node of the cluster: a virtual machine whose name is the node's name. PowerOff, PowerOn, Cable
// and Run are the machine's.
type Worker struct {
	*lab.Machine
	// Address of the node on the LAN.
	Address netip.Addr
	// Index from 0.
	Index int
}

func (c *Cluster) startWorker(ctx context.Context, n int, image string) (*Worker, error) {
	w := &Worker{Address: host(apiServerHost + 1 + n), Index: n}
	name := fmt.Sprintf("%s-worker-%d", c.opts.Name, n+1)
	began := time.Now()
	var err error
	w.Machine, err = c.Lab.Machine(name, lab.MachineSpec{
		NICs:     []lab.NIC{{Network: c.LAN, Addresses: []netip.Prefix{netip.PrefixFrom(w.Address, prefixLength)}}},
		MemoryMB: c.opts.WorkerMemoryMB, CPUs: c.opts.WorkerCPUs, RootDisk: image, Off: true,
	})
	if err != nil {
		return nil, err
	}
	if err := w.PowerOn(ctx); err != nil {
		return nil, err
	}
	if err := c.provision(ctx, w); err != nil {
		return nil, fmt.Errorf("provision %s: %w", name, errors.Join(err, w.explain(ctx)))
	}
	if err := c.WaitNodeReady(ctx, w); err != nil {
		return nil, errors.Join(err, w.explain(ctx))
	}
	c.opts.Log("node %s is Ready after %s", name, time.Since(began).Round(time.Second))
	return w, nil
}

// provision gives the machine its identity and starts the kubelet. The kubelet's environment file comes last:
// the unit starts by itself, now and after each later boot, once that file is there.
func (c *Cluster) provision(ctx context.Context, w *Worker) error {
	files, err := c.nodeFiles(w)
	if err != nil {
		return err
	}
	for path, text := range files {
		if err := w.Put(ctx, path, strings.NewReader(text), 0o600); err != nil {
			return err
		}
	}
	for _, command := range []string{
		"systemctl daemon-reload; systemctl start containerd && systemctl restart cluster-service",
		"ctr -n k8s.io images import " + nodeimage.PauseArchive,
	} {
		if err := w.Shell(ctx, command); err != nil {
			return err
		}
	}
	environment := fmt.Sprintf("KUBELET_ARGUMENTS=%q\n", kubeletArguments(w.Name(), w.Address, c.opts.Labels))
	if err := w.Put(ctx, kubeletEnvironment, strings.NewReader(environment), 0o600); err != nil {
		return err
	}
	return w.Shell(ctx, "sync; systemctl start kubelet")
}

// nodeFiles are the files that differ from node to node or from cluster to cluster.
func (c *Cluster) nodeFiles(w *Worker) (map[string]string, error) {
	ca := c.ControlPlane.CA()
	serving, err := ca.Issue(pki.Leaf{CommonName: w.Name(), Names: []string{w.Name()}, IPs: []netip.Addr{w.Address}})
	if err != nil {
		return nil, err
	}
	kubeconfig, err := c.ControlPlane.KubeconfigFor(controlplane.Subject{
		User: "system:node:" + w.Name(), Groups: []string{"system:nodes"},
	})
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"/etc/kubernetes/ca.crt":                                    string(ca.Cert),
		"/etc/kubernetes/kubelet.crt":                               string(serving.Cert),
		"/etc/kubernetes/kubelet.key":                               string(serving.Key),
		"/etc/kubernetes/kubelet.kubeconfig":                        string(kubeconfig),
		"/etc/kubernetes/kubelet.yaml":                              kubeletConfiguration(c.opts.FeatureGates),
		"/etc/kubernetes/service.nft":                               serviceRules(host(apiServerHost), apiServerPort),
		"/etc/cni/net.d/10-bridge.conflist":                         cniConfiguration(w.Index),
		"/etc/systemd/system/cluster-service.service.d/routes.conf": podRoutes(w.Index, c.opts.Workers),
	}, nil
}

// Shell runs a command line in the machine; a status other than 0 is an error with what it printed.
func (w *Worker) Shell(ctx context.Context, command string) error {
	_, err := w.Output(ctx, command)
	return err
}

// Output is Shell that returns standard output.
func (w *Worker) Output(ctx context.Context, command string) (string, error) {
	result, err := w.Run(ctx, "sh", "-c", command)
	if err == nil && result.ExitCode != 0 {
		err = fmt.Errorf("%s: %q ended with %d: %s%s", w.Name(), command, result.ExitCode, result.Stderr, result.Stdout)
	}
	return result.Stdout, err
}

// WaitNodeReady returns when the API server shows the node as Ready.
func (c *Cluster) WaitNodeReady(ctx context.Context, w *Worker) error {
	for {
		node, err := c.client.CoreV1().Nodes().Get(ctx, w.Name(), metav1.GetOptions{})
		if err == nil && nodeReady(node) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("node %s does not become Ready: %w", w.Name(), errors.Join(ctx.Err(), err))
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func nodeReady(node *corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// explain collects what a failed start left behind. Ctx may have ended already.
func (w *Worker) explain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	text, err := w.Output(ctx, "systemctl --failed --no-legend; journalctl -b --no-pager -n 60 -u kubelet -u containerd -u cluster-service")
	return errors.Join(errors.New(text), err)
}

// LoadImage imports an image archive (OCI layout or docker-archive) into every worker that has power.
func (c *Cluster) LoadImage(ctx context.Context, archive string) error {
	var failures error
	for _, w := range c.Workers {
		if w.On() {
			failures = errors.Join(failures, w.loadImage(ctx, archive))
		}
	}
	return failures
}

func (w *Worker) loadImage(ctx context.Context, archive string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	target := "/var/tmp/" + filepath.Base(archive)
	if err := w.Put(ctx, target, f, 0o600); err != nil {
		return err
	}
	return w.Shell(ctx, "ctr -n k8s.io images import "+target+" && rm "+target+" && sync")
}

// NodeImage builds or finds the root disk of a worker: a Debian with systemd, which serves as a
// plain host as well while nothing is provisioned.
func NodeImage(ctx context.Context) (string, error) {
	root, err := binaries.Root()
	if err != nil {
		return "", err
	}
	programs, err := binaries.Find(ctx, binaries.Kubelet)
	if err != nil {
		return "", err
	}
	cache := filepath.Join(root, ".cache", "cluster")
	pause, err := BuildImage(ctx, cache, "./e2e/cluster/pause", "truepacs.test/pause:1")
	if err != nil {
		return "", err
	}
	return nodeimage.Build(ctx, nodeimage.Options{CacheDir: cache, Kubelet: programs[binaries.Kubelet], Pause: pause})
}
