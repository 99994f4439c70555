package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/truepacs/balancer/dataplane/realserver/setup"
	"github.com/truepacs/balancer/dataplane/realserver/setup/outside"
	"github.com/truepacs/balancer/internal/cmd/serverspec"
)

// checkTimeout bounds an inspection: from outside it takes some three seconds an address.
const checkTimeout = 2 * time.Minute

func (a *app) realserverCheck() *cobra.Command {
	var f serverFlags
	var output string
	c := &cobra.Command{
		Use:   "realserver-check [--server NAME|ADDRESS]",
		Short: "Say what is wrong with a PACS server behind direct routing, and how to mend it",
		Long: `Realserver-check looks whether a PACS server is prepared for direct routing or tunnels, and names
for everything that is wrong the command that mends it. It changes nothing.

On the server itself it looks at addresses, ARP settings, firewall, listening programs and whether
all of it comes back after a reboot. With --server it looks at that server from outside, from a
director or another host on the same network: who answers ARP, and what the server says to packets for
the virtual addresses. Both need root.

The exit status is 0 if nothing is wrong, else 1.`,
		Example: `  truepacs realserver-check --vip 192.0.2.100 --port 104,11112     on the server
  truepacs realserver-check --server pacs-a                        on the director`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), checkTimeout)
			defer cancel()
			found, err := f.check(ctx)
			if err == nil {
				err = printFindings(c.OutOrStdout(), found, output)
			}
			return err
		},
	}
	c.Flags().StringVar(&f.server, "server", "", "look at this server from outside: its address, or its name in the pools")
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	f.add(c.Flags())
	return c
}

// check inspects the server that is named, from outside, or this host.
func (f *serverFlags) check(ctx context.Context) ([]setup.Finding, error) {
	own, err := ownAddresses()
	if err != nil {
		return nil, err
	}
	chosen := serverspec.Having(own)
	if f.server != "" {
		chosen = serverspec.Called(f.server)
	}
	spec, addresses, err := f.spec(ctx, chosen)
	if errors.Is(err, serverspec.ErrNothing) && f.server == "" {
		return nil, fmt.Errorf("this host: %w; to look at another server, add --server NAME", err)
	}
	if err != nil {
		return nil, err
	}
	if a, err := netip.ParseAddr(f.server); err == nil {
		addresses = []netip.Addr{a}
	}
	if f.server == "" || slices.ContainsFunc(addresses, func(a netip.Addr) bool { return slices.Contains(own, a) }) {
		return setup.Inspect(ctx, spec, setup.HostReader{})
	}
	return checkOutside(ctx, spec, addresses)
}

func checkOutside(ctx context.Context, spec setup.Spec, addresses []netip.Addr) ([]setup.Finding, error) {
	if len(addresses) == 0 {
		return nil, errors.New("with --vip, --server has to be the server's address: its name is known from balancers only")
	}
	var found []setup.Finding
	for _, a := range addresses {
		segment, err := outside.On(a)
		if err != nil {
			return nil, err
		}
		of, err := outside.Inspect(ctx, sameFamily(spec, a), a, segment)
		if err != nil {
			return nil, err
		}
		found = append(found, of...)
	}
	return found, nil
}

// sameFamily leaves the virtual addresses that packets reach a server for by this address of it, if
// it has one for each family; direct routing does not join families.
func sameFamily(spec setup.Spec, server netip.Addr) setup.Spec {
	var of []setup.VIP
	for _, v := range spec.VIPs {
		if v.Address.Is4() == server.Is4() {
			of = append(of, v)
		}
	}
	if len(of) > 0 {
		spec.VIPs = of
	}
	return spec
}

// printFindings prints what is wrong; anything is an error.
func printFindings(w io.Writer, found []setup.Finding, output string) error {
	switch output {
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(append([]setup.Finding{}, found...)); err != nil {
			return err
		}
	case "text":
		for _, f := range found {
			fmt.Fprintf(w, "%s (%s): %s\n    mend it: %s\n", f.Severity, f.Kind, f.Message, f.Remedy)
		}
		if len(found) == 0 {
			fmt.Fprintln(w, "The server is as it has to be.")
		}
	default:
		return fmt.Errorf("--output %q is unknown: write text or json", output)
	}
	if len(found) > 0 {
		return fmt.Errorf("%d of what the server needs for load balancing is not as it has to be", len(found))
	}
	return nil
}
