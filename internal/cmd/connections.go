package cmd

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/truepacs/balancer/internal/inspect"
)

func (a *app) connections() *cobra.Command {
	var filter inspect.Filter
	var runDir, output, client string
	var limit int
	c := &cobra.Command{
		Use:   "connections",
		Short: "Show who is connected to what through the kernel's balancer",
		Long: `Connections shows the connections of layer 4 services that pass this director, and the clients that are
remembered (persistence, state Remembered; Forgotten: no more, for their server takes none). It reads the kernel's table, which can be long: choose with
--server, --service and --client. Connections come and go meanwhile, so that one may be shown twice or
not at all. Layer 7 connections are not in it. In a cluster call it in the pod of the director's agent.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if client != "" {
				if filter.Client, err = inspect.ParseClient(client); err != nil {
					return fmt.Errorf("--client: %w", err)
				}
			}
			if limit < 0 {
				return fmt.Errorf("--limit %d: write a number from 0 on", limit)
			}
			list, err := newList(c.OutOrStdout(), output)
			if err != nil {
				return err
			}
			asker := inspect.NewClient(runDir)
			defer asker.Close()
			chosen, err := asker.Connections(c.Context(), filter, limit, list.add)
			if err != nil {
				return err
			}
			if err := list.end(); err != nil {
				return err
			}
			if limit > 0 && chosen > limit {
				fmt.Fprintf(c.ErrOrStderr(), "%d of %d are shown: choose with --server, --service or --client, or write --limit 0\n", limit, chosen)
			}
			return nil
		},
	}
	c.Flags().StringVar(&filter.Server, "server", "", "only of this server, by name or address")
	c.Flags().StringVar(&filter.Service, "service", "", "only of this service: NAMESPACE/BALANCER/SERVICE, or the end of it")
	c.Flags().StringVar(&client, "client", "", "only of this client, ADDRESS or ADDRESS/LENGTH")
	c.Flags().IntVar(&limit, "limit", 1000, "show so many at most; 0: all")
	c.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	c.Flags().StringVar(&runDir, "run-dir", defaultRunDir, "run-dir of the truepacs that acts on this host")
	return c
}

// list writes connections as they come, one at a time.
type list struct {
	w     io.Writer
	json  bool
	count int
}

func newList(w io.Writer, output string) (*list, error) {
	switch output {
	case "table":
		return &list{w: w}, nil
	case "json":
		return &list{w: w, json: true}, nil
	}
	return nil, fmt.Errorf("--output %q is unknown: write table or json", output)
}

const row = "%-4s %-30s %-26s %-26s %-30s %-12s %s\n"

func (l *list) add(c inspect.Connection) (err error) {
	l.count++
	if l.json {
		return l.addJSON(&c)
	}
	if l.count == 1 {
		if _, err = fmt.Fprintf(l.w, row, "PROT", "SERVICE", "CLIENT", "VIRTUAL", "SERVER", "STATE", "EXPIRES"); err != nil {
			return err
		}
	}
	virtual, client := "-", c.Client.String()
	if c.Virtual != nil {
		virtual = c.Virtual.String()
	} else {
		client = c.Client.Addr().String()
	}
	_, err = fmt.Fprintf(l.w, row, c.Protocol, orDash(c.Service), client, virtual, orDash(c.Server)+" "+c.To.String(), c.State, fmt.Sprint(c.ExpiresSeconds)+"s")
	return err
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// addJSON writes an element of an array.
func (l *list) addJSON(c *inspect.Connection) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	before := ",\n "
	if l.count == 1 {
		before = "[\n "
	}
	_, err = fmt.Fprintf(l.w, "%s%s", before, text)
	return err
}

func (l *list) end() (err error) {
	switch {
	case l.json && l.count == 0:
		_, err = io.WriteString(l.w, "[]\n")
	case l.json:
		_, err = io.WriteString(l.w, "\n]\n")
	case l.count == 0:
		_, err = io.WriteString(l.w, "no connections\n")
	}
	return err
}
