package health

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPick(t *testing.T) {
	now := time.Now()
	at := func(d time.Duration, deciding bool) slot { return slot{now.Add(d), deciding} }
	cases := map[string]struct {
		slots []slot
		index int
		wait  time.Duration
	}{
		"only one":                     {[]slot{at(time.Second, false)}, 0, time.Second},
		"overdue":                      {[]slot{at(-time.Second, false)}, 0, 0},
		"earliest":                     {[]slot{at(2*time.Second, false), at(time.Second, false)}, 1, time.Second},
		"deciding first when both due": {[]slot{at(-2*time.Second, false), at(0, true)}, 1, 0},
		"deciding but not due":         {[]slot{at(-time.Second, false), at(time.Second, true)}, 0, 0},
		"earliest of two deciding":     {[]slot{at(-1, true), at(-2, true)}, 1, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if i, wait := pick(tc.slots, now); i != tc.index || wait != tc.wait {
				t.Errorf("got %d in %v, want %d in %v", i, wait, tc.index, tc.wait)
			}
		})
	}
}

func TestNextDue(t *testing.T) {
	start := time.Now()
	cases := map[string]struct {
		took, delay time.Duration
		deciding    bool
		want        time.Duration
	}{
		"quick":                        {time.Millisecond, 5 * time.Second, false, 5 * time.Second},
		"period counts from the start": {3 * time.Second, 5 * time.Second, false, 5 * time.Second},
		"slower than its period":       {3 * time.Second, time.Second, false, 3500 * time.Millisecond},
		"deciding, quick":              {0, 500 * time.Millisecond, true, 500 * time.Millisecond},
		"deciding, timed out":          {3 * time.Second, 500 * time.Millisecond, true, 3 * time.Second},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := nextDue(start, start.Add(tc.took), tc.delay, tc.deciding, 500*time.Millisecond)
			if got.Sub(start) != tc.want {
				t.Errorf("got %v, want %v", got.Sub(start), tc.want)
			}
		})
	}
}

func TestRandomDelaysStayInBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		n := rapid.IntRange(1, 5000).Draw(t, "n")
		period := time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "period"))
		if d := firstDelay(r, n, period); d < 0 || d > period || d > time.Duration(n-1)*spacing {
			t.Fatalf("first delay %v", d)
		}
		most := max(period/20, min(grid, period/2)) + 1
		if d := jittered(r, period, 0.05); d > period+min(latest, most) || d < period-most {
			t.Fatalf("%v became %v", period, d)
		}
		if d := jittered(r, period, 0); d != period {
			t.Fatalf("%v became %v without jitter", period, d)
		}
	})
}
