package cmd

import (
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/truepacs/balancer/dataplane/proxy"
	"github.com/truepacs/balancer/internal/coldstart"
	"github.com/truepacs/balancer/internal/heartbeat"
	"github.com/truepacs/balancer/internal/turns"
	"github.com/truepacs/balancer/internal/version"
	"github.com/truepacs/balancer/internal/wiring"
)

func (a *app) proxy() *cobra.Command {
	cfg := proxy.Config{Version: version.Version()}
	var runDir string
	var cold coldStartFlags
	var accessLog bool
	c := &cobra.Command{
		Use:   "proxy",
		Short: "Run the layer 7 proxy of a node (in a DaemonSet, or started by truepacs run)",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if cfg.Log, err = a.log(); err != nil {
				return err
			}
			cfg.Socket = wiring.SocketPath(runDir)
			cfg.AccessLog = io.Discard
			if accessLog {
				cfg.AccessLog = os.Stdout
			}
			if cold.enabled {
				p := &coldstart.Proxy{Config: cfg, RunDir: runDir, After: cold.after}
				go heartbeat.Run(c.Context(), heartbeat.Path("proxy"), p.Heartbeat)
				return p.Run(c.Context())
			}
			p := proxy.New(cfg)
			go turns.HoldProxy(c.Context(), runDir)
			go heartbeat.Run(c.Context(), heartbeat.Path("proxy"), p.Ready)
			return p.Run(c.Context())
		},
	}
	c.Flags().StringVar(&runDir, "run-dir", defaultRunDir, "where the agent's socket is")
	c.Flags().DurationVar(&cfg.DrainLimit, "drain-limit", 30*time.Minute, "how long open connections may go on after the proxy is told to stop")
	c.Flags().BoolVar(&cfg.ExitWhenReplaced, "exit-when-replaced", false, "end once a newer proxy took over and the last connection is gone")
	cold.add(c, "proxy")
	c.Flags().BoolVar(&accessLog, "access-log", true, "write a line of JSON for each request to standard output")
	return c
}
