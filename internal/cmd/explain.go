package cmd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/truepacs/balancer/dataplane/explain"
	"github.com/truepacs/balancer/internal/inspect"
)

// explainOptions are the flags of explain.
type explainOptions struct {
	runDir, output                   string
	client, to, protocol, url, lines string
}

func (a *app) explain() *cobra.Command {
	var o explainOptions
	c := &cobra.Command{
		Use:   "explain --client ADDRESS[:PORT] --to ADDRESS:PORT",
		Short: "Say which server a client would get and why, or why it gets none",
		Long: `Explain asks the truepacs that acts on this host which virtual service and server a client would get
now, and why. It reads what the kernel has: connections, remembered clients, weights and numbers of
connections, and computes the choice as the kernel's schedulers do. Nothing is changed, no packet sent.

SourceHash, MaglevHash, LeastConnection, WeightedLeastConnection, ShortestExpectedDelay, NeverQueue,
WeightedFailover and WeightedOverflow are computed. RoundRobin and WeightedRoundRobin are not: whose turn
it is the kernel does not show; the candidates and their shares are named instead. Where a hash takes the
client's port (hashInput: SourceAddressAndPort) write --client ADDRESS:PORT. Kernels built with other
sizes of hash tables than usual (CONFIG_IP_VS_SH_TAB_BITS=8, CONFIG_IP_VS_MH_TAB_INDEX=12) choose
otherwise than is said here for SourceHash and MaglevHash.

At layer 7 it names the route for --url and the servers that take requests by weight; whose turn it is,
and which server a cookie names, the proxy alone knows.

With --clients-file many questions are asked, a line each: CLIENT [ADDRESS:PORT [PROTOCOL [URL]]]; what a
line lacks is what the flags say. Each is answered before the next is read, as a line of JSON with -o json.
In a cluster call it in the pod of the director's agent.`,
		Example: `  truepacs explain --client 192.0.2.51 --to 192.0.2.100:104
  truepacs explain --client 192.0.2.51:40000 --to 192.0.2.100:514 --protocol UDP -o json
  truepacs explain --client 192.0.2.40 --to 192.0.2.100:443 --url https://pacs.example.org/dicom-web/studies`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c) },
	}
	c.Flags().StringVar(&o.client, "client", "", "the client's address, or ADDRESS:PORT")
	c.Flags().StringVar(&o.to, "to", "", "virtual IP and port, ADDRESS:PORT")
	c.Flags().StringVar(&o.protocol, "protocol", "TCP", "TCP or UDP")
	c.Flags().StringVar(&o.url, "url", "", "URL or path of an HTTP request")
	c.Flags().StringVar(&o.lines, "clients-file", "", "file with a question a line; -: standard input")
	c.Flags().StringVarP(&o.output, "output", "o", "text", "text or json")
	c.Flags().StringVar(&o.runDir, "run-dir", defaultRunDir, "run-dir of the truepacs that acts on this host")
	return c
}

func (o *explainOptions) run(c *cobra.Command) error {
	show, err := answerWriter(c.OutOrStdout(), o.output, o.lines != "")
	if err != nil {
		return err
	}
	client := inspect.NewClient(o.runDir)
	defer client.Close()
	ask := func(who, to, protocol, url string) error {
		q, err := explain.Ask(who, to, protocol, url)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(c.Context(), statusTimeout)
		defer cancel()
		answer, err := client.Explain(ctx, q)
		if err != nil {
			return err
		}
		return show(&answer)
	}
	if o.lines == "" {
		if o.client == "" || o.to == "" {
			return errors.New("explain needs --client ADDRESS[:PORT] and --to ADDRESS:PORT, or --clients-file")
		}
		return ask(o.client, o.to, o.protocol, o.url)
	}
	return o.each(c.InOrStdin(), ask)
}

// each asks a question for each line of the file.
func (o *explainOptions) each(stdin io.Reader, ask func(who, to, protocol, url string) error) error {
	in := stdin
	if o.lines != "-" {
		file, err := os.Open(o.lines)
		if err != nil {
			return fmt.Errorf("--clients-file: %w", err)
		}
		defer file.Close()
		in = file
	}
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 {
			continue
		}
		if len(words) > 4 {
			return fmt.Errorf("line %d of --clients-file has %d words: write CLIENT [ADDRESS:PORT [PROTOCOL [URL]]]", n, len(words))
		}
		q := [4]string{o.client, o.to, o.protocol, o.url}
		copy(q[:], words)
		if err := ask(q[0], q[1], q[2], q[3]); err != nil {
			return fmt.Errorf("line %d of --clients-file: %w", n, err)
		}
	}
	return lines.Err()
}

// answerWriter writes answers; of many each is one line of JSON.
func answerWriter(w io.Writer, output string, many bool) (func(*explain.Answer) error, error) {
	switch output {
	case "text":
		return func(a *explain.Answer) error { return writeAnswer(w, a) }, nil
	case "json":
		encoder := json.NewEncoder(w)
		if !many {
			encoder.SetIndent("", "  ")
		}
		return func(a *explain.Answer) error { return encoder.Encode(a) }, nil
	}
	return nil, fmt.Errorf("--output %q is unknown: write text or json", output)
}

// writeAnswer writes an answer for people.
func writeAnswer(w io.Writer, a *explain.Answer) error {
	var b strings.Builder
	client := a.Client.String()
	if a.Client.Port() == 0 {
		client = a.Client.Addr().String()
	}
	fmt.Fprintf(&b, "client    %s to %s %s\n", client, a.To, a.Protocol)
	if a.Service != "" {
		fmt.Fprintf(&b, "service   %s of balancer %s, %s, %s\n", a.Service, a.Balancer, a.Mode, a.Scheduler)
	}
	if a.Route != "" {
		fmt.Fprintf(&b, "route     %s\n", a.Route)
	}
	switch {
	case a.Server != nil:
		fmt.Fprintf(&b, "server    %s %s\n", a.Server.Name, a.Server.Address)
	case len(a.OneOf) > 0:
		for _, s := range a.OneOf {
			fmt.Fprintf(&b, "one of    %s %s%s\n", s.Name, s.Address, shareText(s.Share))
		}
	default:
		fmt.Fprintf(&b, "server    none (%s)\n", a.Outcome)
	}
	for i, why := range a.Why {
		head := "because  "
		if i > 0 {
			head = "         "
		}
		fmt.Fprintf(&b, "%s %s\n", head, why)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func shareText(share float64) string {
	if share == 0 {
		return ""
	}
	return fmt.Sprintf(", %.0f %%", 100*share)
}
