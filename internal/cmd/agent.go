package cmd

import (
	"github.com/spf13/cobra"

	"github.com/truepacs/balancer/controllers/agent"
	"github.com/truepacs/balancer/internal/version"
)

func (a *app) agent() *cobra.Command {
	o := agent.Options{Version: version.Version()}
	c := &cobra.Command{
		Use:   "agent",
		Short: "Run the agent of a cluster node (in a DaemonSet)",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.Log, err = a.log(); err != nil {
				return err
			}
			return agent.Run(c.Context(), o)
		},
	}
	o.AddFlags(c.Flags())
	return c
}
