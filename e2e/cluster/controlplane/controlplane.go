// Package controlplane runs a real Kubernetes control plane for tests: etcd, kube-apiserver and, when asked
// for, kube-controller-manager and kube-scheduler, as ordinary processes on loopback or inside a network
// namespace. Nothing of it outlives the program that started it.
//
// An API server alone, which is all that a test of CRDs, CEL rules or reconcilers needs:
//
//	cfg, stop, err := controlplane.StartAPIServer(ctx, controlplane.Options{})
//
// It may import client-go and the sibling packages binaries, pki and process.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/truepacs/balancer/e2e/cluster/binaries"
	"github.com/truepacs/balancer/e2e/cluster/pki"
	"github.com/truepacs/balancer/e2e/cluster/process"
)

// stopGrace is how long a component may take to end after SIGTERM before it is killed. An API server with open
// watches would take a minute.
const stopGrace = 3 * time.Second

// attempts to find free ports: another program may take one between our look and etcd's bind.
const attempts = 3

// Component is one program of the control plane.
type Component = binaries.Name

// Options says what to start. The zero value is an API server and etcd on loopback with free ports.
type Options struct {
	// Parent is the directory in which the data directory is made; empty: the system's temporary directory.
	Parent string
	// Netns is the path of the network namespace to run in, with its loopback up; empty: the caller's.
	Netns string
	// Address is where the API server listens, and what it advertises; zero: 127.0.0.1.
	Address netip.Addr
	// Port of the API server; zero: a free one.
	Port uint16
	// Controllers adds kube-controller-manager and kube-scheduler.
	Controllers bool
	// Programs overrides the search of package binaries.
	Programs binaries.Set
	// FeatureGates of all Kubernetes components, in addition to the release's defaults.
	FeatureGates map[string]bool
	// Log receives one line per start and stop.
	Log logr.Logger
}

// ControlPlane is a running control plane.
type ControlPlane struct {
	opts  Options
	group *process.Group
	ca    *pki.CA
	ports ports

	mu      sync.Mutex
	running map[Component]*process.Process
}

// Start starts the components and returns once the API server reports ready, which takes 5 to 15 seconds.
func Start(ctx context.Context, opts Options) (*ControlPlane, error) {
	opts, err := opts.withDefaults(ctx)
	if err != nil {
		return nil, err
	}
	var failures error
	for range attempts {
		cp, err := start(ctx, opts)
		if err == nil {
			return cp, nil
		}
		failures = errors.Join(failures, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("start the control plane: %w", failures)
}

func (o Options) withDefaults(ctx context.Context) (Options, error) {
	if !o.Address.IsValid() {
		o.Address = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if o.Log.GetSink() == nil {
		o.Log = logr.Discard()
	}
	if o.Programs != nil {
		return o, nil
	}
	var err error
	o.Programs, err = binaries.Find(ctx, o.components()...)
	return o, err
}

// components in the order in which they start.
func (o Options) components() []Component {
	c := []Component{binaries.Etcd, binaries.APIServer}
	if o.Controllers {
		c = append(c, binaries.ControllerManager, binaries.Scheduler)
	}
	return c
}

func start(ctx context.Context, opts Options) (_ *ControlPlane, err error) {
	group, err := process.NewGroup(opts.Parent, "truepacs-controlplane")
	if err != nil {
		return nil, err
	}
	c := &ControlPlane{opts: opts, group: group, running: map[Component]*process.Process{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if c.ports, err = pickPorts(opts); err != nil {
		return nil, err
	}
	if c.ca, err = pki.NewCA("truepacs-test-cluster"); err != nil {
		return nil, err
	}
	if err = c.writeCredentials(); err != nil {
		return nil, err
	}
	for _, component := range opts.components() {
		if err = c.StartComponent(ctx, component); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// StartComponent starts a component that is not running and waits until it serves. It finds the data that it
// left behind. A component that runs already is left alone.
func (c *ControlPlane) StartComponent(ctx context.Context, component Component) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.running[component]; p != nil && !ended(p) {
		return nil
	}
	args, err := c.arguments(component)
	if err != nil {
		return err
	}
	began := time.Now()
	p, err := c.group.Start(process.Spec{
		Name: string(component), Path: c.opts.Programs[component], Args: args, Netns: c.opts.Netns,
		Env: []string{"GOMAXPROCS=2"},
	})
	if err != nil {
		return err
	}
	c.running[component] = p
	if err := c.waitServing(ctx, component, p); err != nil {
		return err
	}
	c.opts.Log.Info("component serves", "component", component, "pid", p.PID(), "after", time.Since(began).String())
	return nil
}

// StopComponent ends a component and keeps its data.
func (c *ControlPlane) StopComponent(ctx context.Context, component Component) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.running[component]
	if p == nil {
		return nil
	}
	delete(c.running, component)
	c.opts.Log.Info("stop component", "component", component, "pid", p.PID())
	return p.Stop(ctx, stopGrace)
}

// StopAPIServer takes the API server away; etcd and its data stay.
func (c *ControlPlane) StopAPIServer(ctx context.Context) error {
	return c.StopComponent(ctx, binaries.APIServer)
}

// StartAPIServer brings the API server back at the same address with the same data and certificates.
func (c *ControlPlane) StartAPIServer(ctx context.Context) error {
	return c.StartComponent(ctx, binaries.APIServer)
}

// Close kills the components and removes their data.
func (c *ControlPlane) Close() error { return c.group.Close() }

// Dir is the data directory. Each component logs to <Dir>/<component>.log.
func (c *ControlPlane) Dir() string { return c.group.Dir() }

// CA is the cluster's authority, which signs node and user certificates.
func (c *ControlPlane) CA() *pki.CA { return c.ca }

// URL is the API server's address.
func (c *ControlPlane) URL() string {
	return "https://" + netip.AddrPortFrom(c.opts.Address, c.ports.api).String()
}

// Log returns the last lines of a component's log.
func (c *ControlPlane) Log(component Component, lines int) string {
	return process.Tail(c.group.Path(string(component)+".log"), lines)
}

// writeCredentials stores what the components read at start.
func (c *ControlPlane) writeCredentials() error {
	if err := c.ca.WriteTo(c.group.Path("ca")); err != nil {
		return err
	}
	keys, err := pki.SigningKey()
	if err != nil {
		return err
	}
	if err := keys.WriteTo(c.group.Path("service-account")); err != nil {
		return err
	}
	for name, leaf := range c.leaves() {
		pair, err := c.ca.Issue(leaf)
		if err != nil {
			return err
		}
		if err := pair.WriteTo(c.group.Path(name)); err != nil {
			return err
		}
	}
	return c.writeKubeconfigs()
}

func (c *ControlPlane) leaves() map[string]pki.Leaf {
	return map[string]pki.Leaf{
		"apiserver": {
			CommonName: "kube-apiserver",
			Names:      []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
			IPs:        []netip.Addr{c.opts.Address, netip.AddrFrom4([4]byte{127, 0, 0, 1}), ServiceAddress()},
		},
		"kubelet-client": {CommonName: "kube-apiserver-kubelet-client", Groups: []string{adminGroup}},
	}
}

func (c *ControlPlane) writeKubeconfigs() error {
	users := map[string]Subject{
		adminFile:                       {User: "admin", Groups: []string{adminGroup}},
		"controller-manager.kubeconfig": {User: "system:kube-controller-manager"},
		"scheduler.kubeconfig":          {User: "system:kube-scheduler"},
	}
	for file, subject := range users {
		text, err := c.KubeconfigFor(subject)
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.group.Path(file), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
