// Package cluster starts a real Kubernetes cluster inside a lab: the control plane in a namespace host, the
// workers as virtual machines with containerd and kubelet, all on one LAN on which clients and servers outside
// the cluster can be plugged in as well.
//
//	c, err := cluster.Start(ctx, cluster.Options{Workers: 2})
//	defer c.Close()
//	err = c.LoadImage(ctx, "dist/image.tar")
//	out, err := c.Kubectl(ctx, "get", "nodes")
//
// There is no kube-proxy and no cluster DNS. Pods reach the API server at its cluster address all the same;
// other Services have no address. Pods on different workers reach each other.
//
// It may import the lab, client-go and its own sub-packages, and nothing of the product.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/truepacs/balancer/e2e/cluster/binaries"
	"github.com/truepacs/balancer/e2e/cluster/controlplane"
	"github.com/truepacs/balancer/e2e/lab"
)

// Addresses on the LAN: 192.0.2.240 is the API server, 192.0.2.241 the first worker, and so on. Everything
// below is free for virtual addresses, servers and clients of a test.
const (
	apiServerHost = 240
	apiServerPort = 6443
	prefixLength  = 24
	maxWorkers    = 10
)

// Options of a cluster. The zero value is a control plane with one worker in a lab of its own.
type Options struct {
	// Name is part of the names of the hosts; default "k8s". Two clusters in one lab need different ones, and
	// different LANs.
	Name string
	// Workers is the number of worker machines; default 1, at most 10.
	Workers int
	// Lab to build the cluster in; nil: a new one that Close removes.
	Lab *lab.Lab
	// LAN to plug the cluster into; nil: a new network "<name>-lan". Its subnet is 192.0.2.0/24.
	LAN *lab.Network
	// Labels are put on every node as it registers.
	Labels map[string]string
	// WorkerMemoryMB is each worker's memory in MiB, default 1536; WorkerCPUs its processors, default 2.
	WorkerMemoryMB, WorkerCPUs int
	// FeatureGates of all Kubernetes components.
	FeatureGates map[string]bool
	// Log receives progress, one line each; nil discards it.
	Log func(format string, args ...any)
}

// Cluster is a running cluster.
type Cluster struct {
	// Lab that holds the cluster, and LAN that joins it, for hosts of the test.
	Lab *lab.Lab
	LAN *lab.Network
	// Control is the host of the control plane.
	Control *lab.Namespace
	// ControlPlane gives access to its components.
	ControlPlane *controlplane.ControlPlane
	// Workers in the order of their addresses.
	Workers []*Worker

	opts     Options
	ownLab   bool
	programs binaries.Set
	client   kubernetes.Interface
}

// Start builds what is missing, starts the cluster and returns when every node is Ready, about a minute after
// everything was built.
func Start(ctx context.Context, opts Options) (_ *Cluster, err error) {
	if opts, err = opts.withDefaults(); err != nil {
		return nil, err
	}
	c := &Cluster{Lab: opts.Lab, LAN: opts.LAN, opts: opts}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("cluster: %w", err), c.Close())
		}
	}()
	if c.programs, err = binaries.Find(ctx, binaries.Etcd, binaries.APIServer, binaries.ControllerManager,
		binaries.Scheduler, binaries.Kubelet, binaries.Kubectl); err != nil {
		return nil, err
	}
	c.opts.Log("node image: building it unless the cache has it")
	image, err := NodeImage(ctx)
	if err != nil {
		return nil, err
	}
	if err = c.prepareLab(); err != nil {
		return nil, err
	}
	if err = c.startControlPlane(ctx); err != nil {
		return nil, err
	}
	return c, c.startWorkers(ctx, image)
}

func (o Options) withDefaults() (Options, error) {
	if o.Name == "" {
		o.Name = "k8s"
	}
	if o.Workers == 0 {
		o.Workers = 1
	}
	if o.Workers < 0 || o.Workers > maxWorkers {
		return o, fmt.Errorf("cluster: %d workers: ask for 1 to %d", o.Workers, maxWorkers)
	}
	if o.WorkerMemoryMB == 0 {
		o.WorkerMemoryMB = 1536
	}
	if o.WorkerCPUs == 0 {
		o.WorkerCPUs = 2
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if o.LAN != nil && o.Lab == nil {
		return o, errors.New("cluster: a LAN was given without its lab: set Lab as well")
	}
	return o, nil
}

func (c *Cluster) prepareLab() (err error) {
	if c.Lab == nil {
		if c.Lab, err = lab.New(lab.Options{Name: c.opts.Name, Log: c.opts.Log}); err != nil {
			return err
		}
		c.ownLab = true
	}
	if c.LAN == nil {
		c.LAN, err = c.Lab.Network(c.opts.Name + "-lan")
	}
	return err
}

func (c *Cluster) startControlPlane(ctx context.Context) (err error) {
	address := host(apiServerHost)
	c.Control, err = c.Lab.Namespace(c.opts.Name+"-control", lab.NIC{
		Network: c.LAN, Addresses: []netip.Prefix{netip.PrefixFrom(address, prefixLength)},
	})
	if err != nil {
		return err
	}
	c.ControlPlane, err = controlplane.Start(ctx, controlplane.Options{
		Netns: c.Netns(), Address: address, Port: apiServerPort, Controllers: true,
		Programs: c.programs, FeatureGates: c.opts.FeatureGates, Log: c.logger(),
	})
	if err != nil {
		return err
	}
	cfg, err := c.ControlPlane.Config()
	if err != nil {
		return err
	}
	c.client, err = kubernetes.NewForConfig(cfg)
	return err
}

func (c *Cluster) startWorkers(ctx context.Context, image string) error {
	c.Workers = make([]*Worker, c.opts.Workers)
	failures := make([]error, c.opts.Workers)
	var all sync.WaitGroup
	for n := range c.Workers {
		all.Go(func() { c.Workers[n], failures[n] = c.startWorker(ctx, n, image) })
	}
	all.Wait()
	return errors.Join(failures...)
}

func (c *Cluster) logger() logr.Logger {
	print := func(_, args string) { c.opts.Log("control plane: %s", args) }
	return funcr.New(print, funcr.Options{RenderBuiltinsHook: withoutLevel})
}

// withoutLevel leaves only the message of what funcr puts before a line's own values.
func withoutLevel(builtins []any) []any {
	for i := 0; i+1 < len(builtins); i += 2 {
		if builtins[i] == "msg" {
			return builtins[i : i+2]
		}
	}
	return builtins
}

// Netns is the path of the control plane's network namespace, for programs that need to run in it.
func (c *Cluster) Netns() string {
	return filepath.Join(filepath.Dir(c.Control.Path("/")), "ns", "net")
}

// Config is the administrator's configuration for Go clients; it works from anywhere in this program.
func (c *Cluster) Config() (*rest.Config, error) { return c.ControlPlane.Config() }

// Client is the administrator's client.
func (c *Cluster) Client() kubernetes.Interface { return c.client }

// StopAPIServer takes the API server away and keeps its data.
func (c *Cluster) StopAPIServer(ctx context.Context) error { return c.ControlPlane.StopAPIServer(ctx) }

// StartAPIServer brings the API server back.
func (c *Cluster) StartAPIServer(ctx context.Context) error {
	return c.ControlPlane.StartAPIServer(ctx)
}

// Close ends the control plane and, when Start made it, the lab. The workers of a lab that was given run on
// until that lab is closed.
func (c *Cluster) Close() error {
	var err error
	if c.ControlPlane != nil {
		err = c.ControlPlane.Close()
	}
	if c.ownLab {
		err = errors.Join(err, c.Lab.Close())
	}
	return err
}

// host is the address with the given last octet.
func host(last int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(last)}) }
