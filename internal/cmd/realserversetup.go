package cmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/truepacs/balancer/dataplane/realserver/setup"
	"github.com/truepacs/balancer/internal/cmd/serverspec"
)

func (a *app) realserverSetup() *cobra.Command {
	var f serverFlags
	var system string
	var remove bool
	c := &cobra.Command{
		Use:   "realserver-setup --os linux|windows",
		Short: "Print the script that prepares a PACS server for direct routing or tunnels",
		Long: `Realserver-setup prints a script for a PACS server on which truepacs does not run. It makes the
server accept packets to the virtual IP addresses without answering ARP for them, now and after
every reboot. The script needs no part of this program; read it, put it on the server, and run it
there as root (Windows: as administrator):

  truepacs realserver-setup --os linux --server pacs-a > realserver.sh
  sh realserver.sh --apply     may be run again at any time, also with a newer script
  sh realserver.sh --check     says what is right and what is wrong
  sh realserver.sh --remove    takes everything back

What the server is for comes from the balancers of the truepacs run of this host, from those in a
folder (-f), from the cluster of KUBECONFIG, or from --vip and --port.

A server on which truepacs run or the agent runs is prepared by it and needs no script.`,
		Example: `  truepacs realserver-setup --os linux -f /etc/truepacs --server pacs-a
  truepacs realserver-setup --os windows --vip 192.0.2.100 --port 104,11112
  truepacs realserver-setup --os linux --method redirect --vip 192.0.2.100 --port 104
  truepacs realserver-setup --os linux --remove`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			script, err := f.script(c, setup.OS(system), remove)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(c.OutOrStdout(), script)
			return err
		},
	}
	c.Flags().StringVar(&system, "os", "", "linux or windows")
	c.Flags().BoolVar(&remove, "remove", false, "print a script that takes back what any earlier one did")
	c.Flags().StringVar(&f.server, "server", "", "name or address of the server in the pools; absent: what any of them needs")
	f.add(c.Flags())
	return c
}

func (f *serverFlags) script(c *cobra.Command, system setup.OS, remove bool) (string, error) {
	if system == "" {
		return "", errors.New("realserver-setup needs --os linux or --os windows: the system of the PACS server")
	}
	if remove {
		return setup.Removal(system)
	}
	chosen := serverspec.Any
	if f.server != "" {
		chosen = serverspec.Called(f.server)
	}
	spec, _, err := f.spec(c.Context(), chosen)
	if err != nil {
		return "", err
	}
	return setup.Script(system, spec)
}
