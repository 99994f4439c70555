package savings

import (
	"strings"
	"testing"
	"time"
)

// run is what a director has to handle of two rounds: requests in and out, replies where they come
// back through it.
func run() (all Samples) {
	for _, ratio := range Ratios() {
		for _, m := range Modes() {
			for round := range uint64(2) {
				s := Sample{
					Mode: m, Ratio: ratio, Round: round + 1, Retrieved: 1e9, Requested: int64(1e9) / int64(ratio),
					Took: time.Second, HostCPU: time.Second, GuestCPU: time.Second,
				}
				carried := s.Requested
				if m != DR && m != Tunnel {
					carried += s.Retrieved
				}
				s.Guest = Wire{2.1 * float64(carried), 2.1 * float64(carried) / 1000}
				s.Host = s.Guest
				all = append(all, s)
			}
		}
	}
	return all
}

func TestVerdict(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(*Sample)
		want  string
	}{
		"as it has to be":     {func(*Sample) {}, ""},
		"nothing retrieved":   {func(s *Sample) { s.Retrieved = 0 }, "the sample is empty"},
		"replies come back":   {func(s *Sample) { s.Guest.Bytes *= 51; s.Guest.Packets *= 51; s.Host = s.Guest }, "it has to be"},
		"taps say other":      {func(s *Sample) { s.Host.Bytes *= 1.03 }, "its taps"},
		"taps say other, too": {func(s *Sample) { s.Host.Packets *= 0.97 }, "its taps"},
		"frames of hardware":  {func(s *Sample) { s.Guest.Packets /= 2 }, "several packets as one"},
		"requests go astray":  {func(s *Sample) { s.Guest.Bytes /= 1.2; s.Host = s.Guest }, "has to handle"},
	} {
		t.Run(name, func(t *testing.T) {
			all := run()
			for i := range all {
				if all[i].Mode == DR && all[i].Ratio == 50 {
					tc.spoil(&all[i])
				}
			}
			err := all.Verdict(2)
			if (tc.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	if err := run()[1:].Verdict(2); err == nil || !strings.Contains(err.Error(), "1 samples, want 2") {
		t.Errorf("a sample is missing: %v", err)
	}
}

func TestTimes(t *testing.T) {
	all := run()
	for ratio, want := range map[int]float64{1: 2, 8: 9, 50: 51} {
		if got := all.times(NAT, ratio, figures()["bytes"]); got < want-1e-6 || got > want+1e-6 {
			t.Errorf("%d:1: %v, want %v", ratio, got, want)
		}
	}
	for i := range all {
		if all[i].Mode == DR {
			all[i].GuestCPU = -time.Second
		}
	}
	if got := all.times(NAT, 8, figures()["processor"]); got != 0 {
		t.Errorf("%v times nothing", got)
	}
	var out strings.Builder
	all.Print(&out)
	for _, want := range []string{"too little", "51.00", "L4Tunnel"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestMedian(t *testing.T) {
	for want, values := range map[float64][]float64{0: nil, 3: {9, 3, 1}, 2: {3, 1}} {
		if got := median(values); got != want {
			t.Errorf("%v: %v, want %v", values, got, want)
		}
	}
}
