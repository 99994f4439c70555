package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// table collects what was shown: what, how much, by which witness.
type table struct{ rows [][3]string }

func (t *table) add(what, value, witness string) {
	t.rows = append(t.rows, [3]string{what, value, witness})
}

func (t *table) print(w io.Writer) {
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(tw, "SHOWN\tFIGURE\tWITNESS")
	for _, row := range t.rows {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", row[0], row[1], row[2])
	}
	_ = tw.Flush() // a terminal
}
