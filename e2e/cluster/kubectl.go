package cluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/truepacs/balancer/e2e/cluster/binaries"
	"github.com/truepacs/balancer/e2e/cluster/process"
)

// Kubeconfig is the path of the administrator's kubeconfig; it is of use inside the control plane's network
// namespace only (see Netns and WriteKubectl).
func (c *Cluster) Kubeconfig() string { return c.ControlPlane.Kubeconfig() }

// Kubectl runs kubectl as administrator and returns its standard output. A failure holds its standard error.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.KubectlInput(ctx, nil, args...)
}

// KubectlInput is Kubectl with standard input.
func (c *Cluster) KubectlInput(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	return process.Run(ctx, c.Netns(), stdin, c.programs[binaries.Kubectl], append([]string{"--kubeconfig", c.Kubeconfig()}, args...)...)
}

// Apply creates or changes the objects of a manifest.
func (c *Cluster) Apply(ctx context.Context, manifest string) error {
	_, err := c.KubectlInput(ctx, strings.NewReader(manifest), "apply", "-f", "-")
	return err
}

// WriteKubectl writes a script that runs kubectl against this cluster from any shell of this machine.
func (c *Cluster) WriteKubectl(path string) error {
	script := fmt.Sprintf("#!/bin/sh\nexec nsenter --net=%s -- %s --kubeconfig %s \"$@\"\n",
		c.Netns(), c.programs[binaries.Kubectl], c.Kubeconfig())
	return os.WriteFile(path, []byte(script), 0o755)
}
