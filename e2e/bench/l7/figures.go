package l7

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Sample is what a front has done and spent in one turn.
type Sample struct {
	Front string
	Round uint64
	// Exchanges and Bytes of content that arrived.
	Exchanges int
	Bytes     int64
	// Took is wall time, Processor that of all processes of the front, Load that of the load.
	Took, Processor, Load time.Duration
}

// Samples are those of one scenario on one path.
type Samples []Sample

// Unit is what processor time is stated for.
type Unit string

// Units.
const (
	PerExchange Unit = "µs"
	PerGiB      Unit = "ms/GiB"
)

// cost is processor time for a unit, in the unit's measure.
func (s Sample) cost(u Unit) float64 {
	if u == PerGiB {
		return s.Processor.Seconds() * 1e3 / (float64(s.Bytes) / (1 << 30))
	}
	return s.Processor.Seconds() * 1e6 / float64(s.Exchanges)
}

// rate is throughput, in exchanges or MiB a second.
func (s Sample) rate(u Unit) float64 {
	if u == PerGiB {
		return float64(s.Bytes) / (1 << 20) / s.Took.Seconds()
	}
	return float64(s.Exchanges) / s.Took.Seconds()
}

// of are the samples of a front.
func (all Samples) of(front string) (found Samples) {
	for _, s := range all {
		if s.Front == front {
			found = append(found, s)
		}
	}
	return found
}

func (all Samples) median(value func(Sample) float64) float64 {
	values := make([]float64, len(all))
	for i, s := range all {
		values[i] = value(s)
	}
	return median(values)
}

// median of values; 0: there are none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	values = slices.Sorted(slices.Values(values))
	half := len(values) / 2
	if len(values)%2 == 1 {
		return values[half]
	}
	return (values[half-1] + values[half]) / 2
}

// Ratio is the median of paired ratios, with the least and the greatest.
type Ratio struct{ Median, Least, Most float64 }

func (r Ratio) String() string { return fmt.Sprintf("%.2f (%.2f to %.2f)", r.Median, r.Least, r.Most) }

// newRatio is that of paired values.
func newRatio(ours, peers []float64) (Ratio, error) {
	if len(ours) != len(peers) || len(ours) == 0 {
		return Ratio{}, fmt.Errorf("%d samples beside %d", len(ours), len(peers))
	}
	ratios := make([]float64, len(ours))
	for i := range ours {
		if !(ours[i] >= 0 && peers[i] > 0) {
			return Ratio{}, fmt.Errorf("%g cannot be compared with %g: samples are too small", ours[i], peers[i])
		}
		ratios[i] = ours[i] / peers[i]
	}
	return Ratio{median(ratios), slices.Min(ratios), slices.Max(ratios)}, nil
}

// ratio compares the costs of two fronts, round by round.
func (all Samples) ratio(u Unit, ours, peer string) (Ratio, error) {
	costs := func(front string) (values []float64) {
		for _, s := range all.of(front) {
			values = append(values, s.cost(u))
		}
		return values
	}
	return newRatio(costs(ours), costs(peer))
}

// sound asks that every front has done the same, and something, in every round.
func (all Samples) sound(fronts []string, rounds int) error {
	var errs []error
	for _, front := range fronts {
		found := all.of(front)
		if len(found) != rounds {
			errs = append(errs, fmt.Errorf("%s has %d samples of %d", front, len(found), rounds))
		}
		for _, s := range found {
			if s.Exchanges == 0 || s.Exchanges != all[0].Exchanges || s.Bytes != all[0].Bytes {
				errs = append(errs, fmt.Errorf("%s, round %d: %d exchanges and %d bytes, not %d and %d as %s",
					front, s.Round, s.Exchanges, s.Bytes, all[0].Exchanges, all[0].Bytes, all[0].Front))
			}
		}
	}
	return errors.Join(errs...)
}

// cheapest is the front of several that costs least.
func (all Samples) cheapest(u Unit, fronts []string) string {
	return slices.MinFunc(fronts, func(a, b string) int {
		cost := func(front string) float64 { return all.of(front).median(func(s Sample) float64 { return s.cost(u) }) }
		switch {
		case cost(a) < cost(b):
			return -1
		case cost(a) > cost(b):
			return 1
		}
		return 0
	})
}

// Print writes medians as a table. Ratios are those of each front to the first.
func (all Samples) Print(w io.Writer, u Unit, fronts []string) {
	rate := "a second"
	if u == PerGiB {
		rate = "MiB/s"
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "front\tprocessor, %s\tratio\t%s\tload, %s\n", u, rate, u)
	for _, front := range fronts {
		found := all.of(front)
		ratio, err := all.ratio(u, fronts[0], front)
		beside := ratio.String()
		if err != nil {
			beside = "-"
		}
		load := found.median(func(s Sample) float64 { s.Processor = s.Load; return s.cost(u) })
		fmt.Fprintf(table, "%s\t%.1f\t%s\t%.0f\t%.1f\n", front,
			found.median(func(s Sample) float64 { return s.cost(u) }), beside, found.median(func(s Sample) float64 { return s.rate(u) }), load)
	}
	_ = table.Flush()
}

// Bound is how a figure is judged: at most Most, which 0 leaves open; Aim is what is wished beyond.
type Bound struct{ Most, Aim float64 }

// judge returns an error where a figure is above its bound.
func (b Bound) judge(figure float64) error {
	if b.Most > 0 && !(figure <= b.Most) {
		return fmt.Errorf("%.2f, at most %.2f is wanted", figure, b.Most)
	}
	return nil
}

func (b Bound) String() string {
	var text []string
	if b.Most > 0 {
		text = append(text, fmt.Sprintf("at most %.2f", b.Most))
	}
	if b.Aim > 0 {
		text = append(text, fmt.Sprintf("aim %.2f", b.Aim))
	}
	if len(text) == 0 {
		return "stated"
	}
	return strings.Join(text, ", ")
}
