package procfs

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzTable: bytes are a table or an error, and what is read prints as a table that reads the same.
// The seeds in testdata are tables of Linux 6.1.
func FuzzTable(f *testing.F) {
	f.Add([]byte(heading))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, _, err := read(bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		var again strings.Builder
		again.WriteString(heading)
		for i := range all {
			printService(&again, &all[i])
		}
		same, _, err := read(strings.NewReader(again.String()))
		if diff := cmp.Diff(all, same, ports); diff != "" || err != nil {
			t.Errorf("%v:\n%s", err, diff)
		}
	})
}

// FuzzConnections: bytes are connections or an error.
func FuzzConnections(f *testing.F) {
	f.Add([]byte(connectionColumns + "\nIP  C0000264 0000 00000001 0000 C0000202 0000 NONE              3\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := readConnections(bytes.NewReader(b))
		if err != nil && !errors.Is(err, ErrFormat) {
			t.Errorf("an error of another kind: %v", err)
		}
		for _, c := range all {
			if !c.Client.IsValid() || !c.Virtual.IsValid() || !c.Destination.IsValid() || c.State == "" || c.Expires < 0 {
				t.Errorf("%+v", c)
			}
		}
	})
}
