package ipvs

import (
	"bytes"
	"os"
	"slices"
	"testing"

	"github.com/truepacs/balancer/dataplane/ipvs/procfs"
)

func parse(text []byte) (all []procfs.Service, err error) {
	_, err = procfs.EachService(bytes.NewReader(text), func(s *procfs.Service) error {
		one := *s
		one.Destinations = slices.Clone(s.Destinations)
		all = append(all, one)
		return nil
	})
	return all, err
}

// FuzzSameTable: two texts that are taken for the same have the same services, as far as both can be
// understood at all.
func FuzzSameTable(f *testing.F) {
	text, err := os.ReadFile("procfs/testdata/ip_vs")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, 300, []byte("7"))
	f.Add(text, 520, []byte("65535"))
	f.Fuzz(func(t *testing.T, a []byte, at int, change []byte) {
		if at < 0 || at+len(change) > len(a) {
			return
		}
		b := slices.Clone(a)
		copy(b[at:], change)
		if !sameTable(a, b) {
			return
		}
		first, err := parse(a)
		if err != nil {
			return
		}
		second, err := parse(b)
		if err != nil {
			return
		}
		if !slices.EqualFunc(first, second, func(x, y procfs.Service) bool { return x.Equal(&y) }) {
			t.Errorf("%q and %q are not the same", a, b)
		}
	})
}
