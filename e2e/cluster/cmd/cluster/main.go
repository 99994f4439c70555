// Command cluster starts real Kubernetes for the project's tests and for trying things out.
//
//	cluster up [-workers N] [-load image.tar]...   a whole cluster, until Ctrl-C
//	cluster apiserver [-- command ...]             an API server alone, for the command or until Ctrl-C
//	cluster build                                  only build the pinned programs
//
// `cluster apiserver -- go test ./...` gives all test programs one API server.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/go-logr/logr"

	"github.com/truepacs/balancer/e2e/cluster"
	"github.com/truepacs/balancer/e2e/cluster/binaries"
	"github.com/truepacs/balancer/e2e/cluster/controlplane"
	"github.com/truepacs/balancer/e2e/lab"
)

const usage = "usage: cluster up [-workers N] [-load image.tar]... | apiserver [-- command ...] | build"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(max(exit.ExitCode(), 1))
	case err != nil:
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	switch args[0] {
	case "up":
		return up(ctx, args[1:], out)
	case "apiserver":
		return apiServer(ctx, args[1:], out)
	case "build":
		_, err := binaries.Find(ctx, binaries.Etcd, binaries.APIServer, binaries.ControllerManager,
			binaries.Scheduler, binaries.Kubelet, binaries.Kubectl)
		return err
	}
	return fmt.Errorf("unknown command %q; %s", args[0], usage)
}

func up(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	workers := flags.Int("workers", 1, "number of worker machines")
	var archives []string
	flags.Func("load", "image archive to import into every worker; may be repeated", func(path string) error {
		archives = append(archives, path)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, err := cluster.Start(ctx, cluster.Options{
		Workers: *workers, Labels: map[string]string{"lb.truepacs.io/director": "true"},
		Log: func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for _, archive := range archives {
		if err := c.LoadImage(ctx, archive); err != nil {
			return err
		}
	}
	if err := explain(c, out); err != nil {
		return err
	}
	<-ctx.Done()
	fmt.Fprintln(out, "removing the cluster")
	return nil
}

// explain writes the scripts for a person at a shell and says how to use them.
func explain(c *cluster.Cluster, out io.Writer) error {
	kubectl, outside := filepath.Join(c.ControlPlane.Dir(), "kubectl"), filepath.Join(c.ControlPlane.Dir(), "outside")
	if err := c.WriteKubectl(kubectl); err != nil {
		return err
	}
	client, err := c.Lab.Namespace("outside", lab.NIC{Network: c.LAN, Addresses: lab.Prefixes("192.0.2.50/24")})
	if err != nil {
		return err
	}
	namespace := filepath.Join(filepath.Dir(client.Path("/")), "ns", "net")
	if err := os.WriteFile(outside, []byte("#!/bin/sh\nexec nsenter --net="+namespace+" -- \"$@\"\n"), 0o755); err != nil {
		return err
	}
	fmt.Fprintf(out, `
The cluster runs. From another shell, as root:
  %[1]s get nodes -o wide        kubectl as administrator
  %[2]s curl http://192.0.2.100  any command on 192.0.2.50, a host of the LAN outside the cluster
`, kubectl, outside)
	for _, w := range c.Workers {
		fmt.Fprintf(out, "  %s is %s\n", w.Name(), w.Address)
	}
	fmt.Fprintln(out, "Ctrl-C removes everything.")
	return nil
}

func apiServer(ctx context.Context, args []string, out io.Writer) (err error) {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	cp, err := controlplane.Start(ctx, controlplane.Options{Log: logr.Discard()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cp.Close()) }()
	if len(args) == 0 {
		fmt.Fprintf(out, "The API server runs.\nexport KUBECONFIG=%[1]s %[2]s=%[1]s\nCtrl-C removes it.\n", cp.Kubeconfig(), controlplane.SharedVariable)
		<-ctx.Done()
		return nil
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+cp.Kubeconfig(), controlplane.SharedVariable+"="+cp.Kubeconfig())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, out, os.Stderr
	return cmd.Run()
}
