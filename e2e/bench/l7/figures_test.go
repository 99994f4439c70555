package l7

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// three rounds in which the machine is slower each time, for all alike but once.
func three() Samples {
	var all Samples
	for i, cost := range [][2]time.Duration{{8, 10}, {18, 20}, {24, 40}} {
		round := uint64(i + 1)
		all = append(all,
			Sample{Front: "a", Round: round, Exchanges: 1000, Bytes: 1 << 20, Took: time.Second, Processor: cost[0] * time.Millisecond},
			Sample{Front: "b", Round: round, Exchanges: 1000, Bytes: 1 << 20, Took: time.Second / 2, Processor: cost[1] * time.Millisecond})
	}
	return all
}

func TestRatiosArePaired(t *testing.T) {
	got, err := three().ratio(PerExchange, "a", "b")
	if want := (Ratio{0.8, 0.6, 0.9}); err != nil || !cmp.Equal(got, want) {
		t.Errorf("ratio %+v, want %+v; %v", got, want, err)
	}
	if cheapest := three().cheapest(PerGiB, []string{"b", "a"}); cheapest != "a" {
		t.Errorf("the cheapest is %s", cheapest)
	}
	s := three()[1]
	if s.cost(PerExchange) != 10 || s.cost(PerGiB) != 10240 || s.rate(PerExchange) != 2000 || s.rate(PerGiB) != 2 {
		t.Errorf("%v µs, %v ms/GiB, %v a second, %v MiB/s", s.cost(PerExchange), s.cost(PerGiB), s.rate(PerExchange), s.rate(PerGiB))
	}
}

// A ratio of nothing is none, and no bound holds for what is no number.
func TestWhatCannotBeCompared(t *testing.T) {
	nothing := three()
	nothing[1].Processor = 0
	if _, err := nothing.ratio(PerExchange, "a", "b"); err == nil {
		t.Error("compared with nothing")
	}
	if _, err := three()[:5].ratio(PerExchange, "a", "b"); err == nil {
		t.Error("compared three with two")
	}
	if _, err := three().ratio(PerExchange, "a", "c"); err == nil {
		t.Error("compared with nobody")
	}
}

func TestBounds(t *testing.T) {
	nan := 0.0
	nan /= nan
	for name, tc := range map[string]struct {
		bound  Bound
		figure float64
		holds  bool
	}{
		"below":     {Bound{0.8, 0.6}, 0.79, true},
		"on it":     {Bound{0.8, 0}, 0.8, true},
		"above":     {Bound{0.8, 0.6}, 0.81, false},
		"open":      {Bound{}, 7, true},
		"no number": {Bound{0.8, 0}, nan, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tc.bound.judge(tc.figure); (err == nil) != tc.holds {
				t.Errorf("%v: %v", tc.bound, err)
			}
		})
	}
}

func TestSamplesThatDiffer(t *testing.T) {
	fronts := []string{"a", "b"}
	if err := three().sound(fronts, 3); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(Samples) Samples{
		"bytes":     func(all Samples) Samples { all[3].Bytes--; return all },
		"exchanges": func(all Samples) Samples { all[2].Exchanges++; return all },
		"empty": func(all Samples) Samples {
			for i := range all {
				all[i].Exchanges = 0
			}
			return all
		},
		"missing": func(all Samples) Samples { return all[:5] },
		"none":    func(Samples) Samples { return nil },
	} {
		if err := spoil(three()).sound(fronts, 3); err == nil {
			t.Errorf("%s: nothing was found", name)
		}
	}
}

func TestPrint(t *testing.T) {
	var out strings.Builder
	three().Print(&out, PerExchange, []string{"a", "b"})
	want := "front  processor, µs  ratio                a second  load, µs\n" +
		"a      18.0           1.00 (1.00 to 1.00)  1000      0.0\n" +
		"b      20.0           0.80 (0.60 to 0.90)  2000      0.0\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
