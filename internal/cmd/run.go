package cmd

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/truepacs/balancer/internal/host"
	"github.com/truepacs/balancer/internal/metrics"
	"github.com/truepacs/balancer/internal/version"
)

func (a *app) run() *cobra.Command {
	o := host.Options{Version: version.Version()}
	c := &cobra.Command{
		Use:   "run -f FOLDER --node NAME",
		Short: "Run this host without Kubernetes, from manifests as files",
		Long: `Run makes this host do what the TruePACSBalancer and Secret manifests in a folder say, and
follows the folder when it changes. A manifest that turns bad leaves its service as it was.

Stopping the program stops no service: kernel and proxy go on, and the next start finds them
again. To give everything back: truepacs uninstall.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.Dir == "" || o.Node == "" {
				return errors.New("run needs -f FOLDER (the manifests) and --node NAME (this host's name in spec.directors.peers)")
			}
			o.LogFlags = a.logFlags()
			if o.Log, err = a.log(); err != nil {
				return err
			}
			h, err := host.New(o)
			if err != nil {
				return err
			}
			return h.Run(c.Context())
		},
	}
	c.Flags().StringVarP(&o.Dir, "filename", "f", "", "folder with manifests, or one file")
	c.Flags().StringVar(&o.Node, "node", "", "this host's name, as spec.directors.peers calls it")
	c.Flags().StringVar(&o.RunDir, "run-dir", defaultRunDir, "lock, sockets and keys; on tmpfs")
	c.Flags().StringVar(&o.StateDir, "state-dir", "/var/lib/truepacs", "what is remembered over reboots")
	c.Flags().StringVar(&o.SysctlDir, "sysctl-dir", "/proc/sys/net", "where /proc/sys/net can be written")
	c.Flags().StringVar(&o.ChecksDir, "checks-dir", "", "directory with the programs of health checks of type External; empty: they are off")
	metrics.AddFlag(c.Flags(), &o.MetricsAddress)
	return c
}
