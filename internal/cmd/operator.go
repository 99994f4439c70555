package cmd

import (
	"github.com/spf13/cobra"

	"github.com/truepacs/balancer/controllers"
	"github.com/truepacs/balancer/internal/version"
)

func (a *app) operator() *cobra.Command {
	o := controllers.Options{Version: version.Version()}
	c := &cobra.Command{
		Use:   "operator",
		Short: "Run the operator of a cluster (in a Deployment)",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.Log, err = a.log(); err != nil {
				return err
			}
			o.Validator = controllers.Rules{}
			return controllers.Run(c.Context(), o)
		},
	}
	o.AddFlags(c.Flags())
	return c
}
