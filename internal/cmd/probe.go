package cmd

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/truepacs/balancer/internal/heartbeat"
)

func (a *app) probe() *cobra.Command {
	var ready bool
	c := &cobra.Command{
		Use:       "probe agent|proxy",
		Short:     "Tell by the exit status whether the agent or proxy in this container lives",
		Hidden:    true,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"agent", "proxy"},
		RunE: func(_ *cobra.Command, args []string) error {
			return heartbeat.Check(heartbeat.Path(args[0]), ready, time.Now())
		},
	}
	c.Flags().BoolVar(&ready, "ready", false, "ask also whether it is ready")
	return c
}
