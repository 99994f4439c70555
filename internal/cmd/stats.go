package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/truepacs/balancer/internal/inspect"
)

// leastInterval: the kernel sums up every two seconds (ip_vs_est.c).
const leastInterval = 2 * time.Second

func (a *app) stats() *cobra.Command {
	var runDir, output string
	var interval time.Duration
	c := &cobra.Command{
		Use:   "stats",
		Short: "Show what has passed the kernel's balancer, by service, port and server",
		Long: `Stats shows totals and rates of the layer 4 services of this director: connections, packets and bytes of
each service, of each port of a virtual IP, and of each server. Totals have 64 bits and begin anew when
a service, server or port is added again. Rates are what two readings differ by. What servers send to
clients by direct routing and tunnels does not pass the director and is not counted. The same figures are
metrics, see --metrics-bind-address of truepacs run and agent.
In a cluster call it in the pod of the director's agent.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output %q is unknown: write text or json", output)
			}
			if interval != 0 && interval < leastInterval {
				return fmt.Errorf("--interval %s: write 2s or more, for the kernel sums up every two seconds, or 0 for no rates", interval)
			}
			client := inspect.NewClient(runDir)
			defer client.Close()
			stats, err := readStats(c.Context(), client, interval)
			if err != nil {
				return err
			}
			if output == "json" {
				encoder := json.NewEncoder(c.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(stats)
			}
			return writeStats(c.OutOrStdout(), &stats)
		},
	}
	c.Flags().DurationVar(&interval, "interval", 4*time.Second, "time between two readings for rates; 0: totals only, at once")
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	c.Flags().StringVar(&runDir, "run-dir", defaultRunDir, "run-dir of the truepacs that acts on this host")
	return c
}

// readStats reads once, or twice for rates.
func readStats(ctx context.Context, client *inspect.Client, interval time.Duration) (inspect.Stats, error) {
	read := func() (inspect.Stats, error) {
		ctx, cancel := context.WithTimeout(ctx, statusTimeout)
		defer cancel()
		return client.Stats(ctx)
	}
	first, err := read()
	if err != nil || interval == 0 {
		return first, err
	}
	select {
	case <-ctx.Done():
		return first, ctx.Err()
	case <-time.After(interval):
	}
	second, err := read()
	return inspect.WithRates(first, second), err
}

// writeStats writes figures for people.
func writeStats(w io.Writer, stats *inspect.Stats) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tACTIVE\tINACTIVE\tCONNECTIONS\t/s\tPACKETS IN\t/s\tBYTES IN\t/s\tBYTES OUT\t/s")
	for _, s := range stats.Services {
		active, inactive := 0, 0
		for _, d := range s.Servers {
			active, inactive = active+d.Active, inactive+d.Inactive
		}
		fmt.Fprintf(t, "%s/%s %s\t%d\t%d\t%s\n", s.Balancer, s.Name, s.Family, active, inactive, trafficText(&s.Total, s.Rate))
		for _, p := range s.Ports {
			fmt.Fprintf(t, "  %s\t\t\t\t\t%d\t%s\t%d\t%s\t\t\n", portText(&p), p.Packets, rateText(p.PacketRate), p.Bytes, rateText(p.ByteRate))
		}
		for _, d := range s.Servers {
			fmt.Fprintf(t, "  %s %s weight %d\t%d\t%d\t%s\n", d.Name, d.Address.Addr(), d.Weight, d.Active, d.Inactive, trafficText(&d.Total, d.Rate))
		}
	}
	fmt.Fprintf(t, "dropped at ports nobody declares\t\t\t\t\t%d\t\t\t\t\t\n", stats.Dropped)
	return t.Flush()
}

func trafficText(total *inspect.Traffic, r *inspect.Rates) string {
	var rates [4]*float64
	if r != nil {
		rates = [4]*float64{&r.Connections, &r.PacketsIn, &r.BytesIn, &r.BytesOut}
	}
	return fmt.Sprintf("%d\t%s\t%d\t%s\t%d\t%s\t%d\t%s", total.Connections, rateText(rates[0]),
		total.PacketsIn, rateText(rates[1]), total.BytesIn, rateText(rates[2]), total.BytesOut, rateText(rates[3]))
}

func rateText(rate *float64) string {
	if rate == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f", *rate)
}

func portText(p *inspect.Port) string {
	ports := fmt.Sprint(p.First)
	if p.Last != p.First {
		ports = fmt.Sprintf("%d-%d", p.First, p.Last)
	}
	return fmt.Sprintf("%s %s port %s", p.Address, p.Protocol, ports)
}
