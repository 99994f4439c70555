package cmd

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/truepacs/balancer/controllers/agent"
	"github.com/truepacs/balancer/internal/coldstart"
	"github.com/truepacs/balancer/internal/heartbeat"
	"github.com/truepacs/balancer/internal/version"
	"github.com/truepacs/balancer/internal/wiring"
)

func (a *app) agent() *cobra.Command {
	o := agent.Options{Version: version.Version()}
	var cold coldStartFlags
	c := &cobra.Command{
		Use:   "agent",
		Short: "Run the agent of a cluster node (in a DaemonSet)",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.Log, err = a.log(); err != nil {
				return err
			}
			if cold.enabled {
				return coldStartAgent(c.Context(), o, cold.after)
			}
			return agent.Run(c.Context(), o)
		},
	}
	o.AddFlags(c.Flags())
	cold.add(c, "agent")
	return c
}

// coldStartFlags are what agent and proxy share.
type coldStartFlags struct {
	enabled bool
	after   time.Duration
}

func (f *coldStartFlags) add(c *cobra.Command, role string) {
	c.Flags().BoolVar(&f.enabled, "cold-start", false, "act only while no regular "+role+" does, without the API server (in a static pod)")
	c.Flags().DurationVar(&f.after, "cold-start-after", 15*time.Second, "with --cold-start: how long no regular "+role+" must have been there")
}

func coldStartAgent(ctx context.Context, o agent.Options, after time.Duration) error {
	marks, err := agent.ParseMarks(o.MarkRange)
	if err != nil {
		return err
	}
	cold := &coldstart.Agent{After: after, Host: wiring.Options{
		Log: o.Log, RunDir: o.RunDir, StateDir: o.StateDir, SysctlDir: o.SysctlDir, Marks: marks, ChecksDir: o.ChecksDir,
	}}
	go heartbeat.Run(ctx, heartbeat.Path("agent"), cold.Heartbeat)
	return cold.Run(ctx)
}
