package eventloop

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestChoose(t *testing.T) {
	for name, tc := range map[string]struct {
		open   []int64
		self   int
		ending int64
		want   int
	}{
		"all idle: the one who accepted":   {open: []int64{0, 0, 0}, self: 1, want: 1},
		"the second connection goes on":    {open: []int64{0, 1, 1}, self: 1, want: 0},
		"a small difference among many":    {open: []int64{36, 32}, self: 0, want: 0},
		"a larger one":                     {open: []int64{37, 32}, self: 0, want: 1},
		"they end at once":                 {open: []int64{37, 1}, self: 0, ending: 40, want: 0},
		"not so many do":                   {open: []int64{42, 1}, self: 0, ending: 40, want: 1},
		"others have more":                 {open: []int64{9, 3, 12}, self: 1, want: 1},
		"one loop":                         {open: []int64{1000}, self: 0, want: 0},
		"more loops than are looked at":    {open: []int64{50, 1, 1, 1, 1, 1, 1, 1, 1, 0}, self: 0, want: 1},
		"nobody is worse than before here": {open: []int64{8, 8, 7}, self: 0, want: 2},
	} {
		t.Run(name, func(t *testing.T) {
			got := choose(len(tc.open), tc.self, len(tc.open)*3, tc.ending, func(i int) int64 { return tc.open[i] })
			if got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestChurn(t *testing.T) {
	var c churn
	now := time.Second
	for range 3 { // moments with 40 ends each
		for range 40 {
			c.ended(now)
			now += moment / 40
		}
	}
	if got := c.rate(now); got < 38 || got > 42 {
		t.Errorf("rate %d, want about 40", got)
	}
	if got := c.rate(now + 3*moment); got != 0 {
		t.Errorf("rate %d after a pause, want 0", got)
	}
}

// In the long run nobody has much more than the others, whoever accepts.
func TestChooseSpreads(t *testing.T) {
	open := make([]int64, 32)
	for i := range 32 * 100 {
		open[choose(len(open), 5, i, 0, func(i int) int64 { return open[i] })]++
	}
	for i, n := range open {
		if n < 85 || n > 115 {
			t.Errorf("loop %d has %d of %v", i, n, open)
		}
	}
}

func TestJudge(t *testing.T) {
	said := map[string]bool{}
	for err, want := range map[error]verdict{
		nil: taken, unix.EAGAIN: none, unix.ECONNABORTED: skipped, unix.EPROTO: skipped, unix.EPERM: skipped,
		unix.EMFILE: short, unix.ENFILE: short, unix.ENOBUFS: short, unix.ENOMEM: short, unix.EINVAL: short, fmt.Errorf("else"): short,
	} {
		if got := judge(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
		said[advice(err)] = true
	}
	if len(said) != 3 {
		t.Errorf("%d different pieces of advice: %v", len(said), said)
	}
}
