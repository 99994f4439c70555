package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/truepacs/balancer/controllers/installation"
	"github.com/truepacs/balancer/internal/host"
)

func (a *app) uninstall() *cobra.Command {
	o := host.Options{}
	var namespace string
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "uninstall",
		Short: "Give everything back: IPVS services, firewall marks, addresses, sockets, settings",
		Long: `Uninstall makes the truepacs run of this host give everything back and end; where none runs,
it does so itself. With --namespace it does the same for an installation in a cluster: all agents
let go, then their DaemonSets are removed. A node that is dead is named and not waited for.

Settings go back to what they were, if nobody has changed them since. Settings of IPVS stay where
other programs have services in it. Kernel modules stay loaded.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.Log, err = a.log(); err != nil {
				return err
			}
			if namespace != "" {
				return uninstallCluster(c.Context(), namespace, timeout)
			}
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			kept, err := uninstallHost(ctx, o)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), given(kept, o.StateDir))
			return nil
		},
	}
	c.Flags().StringVar(&namespace, "namespace", "", "uninstall the installation in this namespace of a cluster")
	c.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long to wait")
	c.Flags().StringVar(&o.RunDir, "run-dir", defaultRunDir, "run-dir of truepacs run")
	c.Flags().StringVar(&o.StateDir, "state-dir", "/var/lib/truepacs", "state-dir of truepacs run")
	c.Flags().StringVar(&o.SysctlDir, "sysctl-dir", "/proc/sys/net", "where /proc/sys/net can be written")
	return c
}

// given says what uninstall has done.
func given(kept, stateDir string) string {
	if kept == "" {
		return "Everything is given back. Manifests and " + stateDir + " are left for you to remove."
	}
	return "Everything else is given back. " + kept + " Until then leave " + stateDir + ", which has what the settings were."
}

func uninstallHost(ctx context.Context, o host.Options) (kept string, err error) {
	kept, err = host.AskRelease(ctx, o.RunDir)
	if !errors.Is(err, host.ErrNotRunning) {
		return kept, err
	}
	if os.Geteuid() != 0 {
		return "", errors.New("uninstall changes the kernel's settings: run it as root")
	}
	return host.Release(ctx, o)
}

func uninstallCluster(ctx context.Context, namespace string, timeout time.Duration) error {
	// The operator gives up on agents after timeout and then still removes the DaemonSets.
	ctx, cancel := context.WithTimeout(ctx, timeout+time.Minute)
	defer cancel()
	api, err := clusterClient()
	if err != nil {
		return err
	}
	return installation.Uninstall(ctx, api, namespace, timeout)
}
