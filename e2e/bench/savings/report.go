package savings

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Sample is one retrieval of so many bytes through a mode and what the director did for it.
type Sample struct {
	Mode  Mode
	Ratio int
	Round uint64
	// Retrieved are the bytes of replies that arrived and were right, Requested those of requests.
	Retrieved, Requested int64
	// Guest is what the director's interfaces have carried, Host what the taps have.
	Guest, Host Wire
	// GuestCPU is the director's processor time by its own kernel, HostCPU that of the threads which
	// are its processors; both without what it spends when idle.
	GuestCPU, HostCPU time.Duration
	// Took is the time on the clock.
	Took time.Duration
}

const gigabyte = 1e9

// perGB are the figures of a sample for 10^9 bytes retrieved.
type perGB struct {
	bytes, packets, hostBytes, hostPackets float64
	guestCPU, hostCPU                      float64 // seconds
}

func (s *Sample) perGB() perGB {
	scale := gigabyte / float64(s.Retrieved)
	return perGB{
		bytes: s.Guest.Bytes * scale, packets: s.Guest.Packets * scale,
		hostBytes: s.Host.Bytes * scale, hostPackets: s.Host.Packets * scale,
		guestCPU: s.GuestCPU.Seconds() * scale, hostCPU: s.HostCPU.Seconds() * scale,
	}
}

// figures are what is reported of a sample.
func figures() map[string]func(perGB) float64 {
	return map[string]func(perGB) float64{
		"bytes":                 func(p perGB) float64 { return p.bytes },
		"packets":               func(p perGB) float64 { return p.packets },
		"processor":             func(p perGB) float64 { return p.guestCPU },
		"processor, by threads": func(p perGB) float64 { return p.hostCPU },
	}
}

// Samples are those of a run.
type Samples []Sample

func (all Samples) of(m Mode, ratio int) (some Samples) {
	for _, s := range all {
		if s.Mode == m && s.Ratio == ratio {
			some = append(some, s)
		}
	}
	return some
}

// median of a figure over rounds; 0 without samples.
func (all Samples) median(figure func(perGB) float64) float64 {
	values := make([]float64, 0, len(all))
	for i := range all {
		values = append(values, figure(all[i].perGB()))
	}
	return median(values)
}

// times returns how many times as much a mode costs as direct routing, of the medians over rounds; 0
// if direct routing costs less than can be measured.
func (all Samples) times(m Mode, ratio int, figure func(perGB) float64) float64 {
	divisor := all.of(DR, ratio).median(figure)
	if divisor <= 0 {
		return 0
	}
	return all.of(m, ratio).median(figure) / divisor
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	values = slices.SortedFunc(slices.Values(values), cmp.Compare[float64])
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// Print writes the tables.
func (all Samples) Print(out io.Writer) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "reply:request\tmode\tsamples\tMB handled\tpackets\tMB by taps\tpackets by taps\tCPU s\tCPU s of threads\tMB/s\t\n")
	for _, ratio := range Ratios() {
		for _, m := range Modes() {
			some := all.of(m, ratio)
			at := func(figure func(perGB) float64) float64 { return some.median(figure) }
			fmt.Fprintf(t, "%d:1\t%s\t%d\t%.1f\t%.0f\t%.1f\t%.0f\t%.2f\t%.2f\t%.1f\t\n", ratio, m, len(some),
				at(func(p perGB) float64 { return p.bytes / 1e6 }), at(func(p perGB) float64 { return p.packets }),
				at(func(p perGB) float64 { return p.hostBytes / 1e6 }), at(func(p perGB) float64 { return p.hostPackets }),
				at(func(p perGB) float64 { return p.guestCPU }), at(func(p perGB) float64 { return p.hostCPU }), some.speed())
		}
	}
	_ = t.Flush()
	fmt.Fprintln(out)
	all.printTimes(out)
}

// speed is the median of megabytes a second.
func (all Samples) speed() float64 {
	var values []float64
	for i := range all {
		values = append(values, float64(all[i].Retrieved)/1e6/all[i].Took.Seconds())
	}
	return median(values)
}

// printTimes says how many times as much as direct routing each other mode costs the director.
func (all Samples) printTimes(out io.Writer) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "reply:request\tmode : L4DR\tbytes\tpackets\tCPU\tCPU of threads\t\n")
	f := figures()
	for _, ratio := range Ratios() {
		for _, m := range Modes()[1:] {
			fmt.Fprintf(t, "%d:1\t%s\t", ratio, m)
			for _, figure := range []string{"bytes", "packets", "processor", "processor, by threads"} {
				if n := all.times(m, ratio, f[figure]); n > 0 {
					fmt.Fprintf(t, "%.2f\t", n)
				} else {
					fmt.Fprint(t, "too little\t")
				}
			}
			fmt.Fprintln(t)
		}
	}
	_ = t.Flush()
}

const (
	// longestFrame is a packet of 1500 bytes with its link layer.
	longestFrame = 1514
	// agreement is by how much the counts of both ends of the cables may differ.
	agreement = 0.02
)

// Verdict returns what the samples contradict of what has to be so whatever the machine's speed.
// Times are not judged.
func (all Samples) Verdict(rounds uint64) error {
	var errs []error
	for _, ratio := range Ratios() {
		for _, m := range Modes() {
			some := all.of(m, ratio)
			if uint64(len(some)) != rounds {
				errs = append(errs, fmt.Errorf("%s at %d:1: %d samples, want %d", m, ratio, len(some), rounds))
			}
			for i := range some {
				errs = append(errs, some[i].check())
			}
		}
		errs = append(errs, all.order(ratio))
	}
	return errors.Join(errs...)
}

// check holds a sample's counts against each other.
func (s *Sample) check() error {
	name := fmt.Sprintf("%s at %d:1, round %d", s.Mode, s.Ratio, s.Round)
	if s.Retrieved <= 0 || s.Requested <= 0 || s.Guest.Packets <= 0 {
		return fmt.Errorf("%s: the sample is empty", name)
	}
	if s.Guest.Bytes > longestFrame*s.Guest.Packets {
		return fmt.Errorf("%s: %.0f bytes in %.0f packets: interfaces count several packets as one", name, s.Guest.Bytes, s.Guest.Packets)
	}
	for _, pair := range [][2]float64{{s.Guest.Bytes, s.Host.Bytes}, {s.Guest.Packets, s.Host.Packets}} {
		if d := pair[0] - pair[1]; d > agreement*pair[0] || -d > agreement*pair[0] {
			return fmt.Errorf("%s: the director counts %.0f, its taps %.0f", name, pair[0], pair[1])
		}
	}
	carried := 2 * float64(s.Requested) // in and out
	if s.Mode != DR && s.Mode != Tunnel {
		carried += 2 * float64(s.Retrieved)
	}
	if s.Guest.Bytes < carried {
		return fmt.Errorf("%s: %.0f bytes handled, the mode has to handle %.0f", name, s.Guest.Bytes, carried)
	}
	return nil
}

// spared is how much of the answers, in and out, direct routing has to spare a director at least;
// the rest is room for what is sent twice.
const spared = 0.75 * 2

// order is what direct routing is for: answers do not pass through the director, as they do in
// modes in which they come back through it.
func (all Samples) order(ratio int) error {
	var errs []error
	f := figures()
	for _, direct := range []Mode{DR, Tunnel} {
		for _, m := range []Mode{NAT, SNAT, Layer7} {
			for figure, least := range map[string]float64{"bytes": spared * gigabyte, "packets": spared * gigabyte / longestFrame} {
				a, b := all.of(direct, ratio).median(f[figure]), all.of(m, ratio).median(f[figure])
				if b-a < least {
					errs = append(errs, fmt.Errorf("%d:1: %s handles %.0f %s for a GB, %s %.0f: it has to be %.0f less", ratio, direct, a, figure, m, b, least))
				}
			}
		}
	}
	return errors.Join(errs...)
}
