package l7

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func testBackend(least bool, weights ...int) *backend {
	b := &backend{pool: &pool{name: "p"}, least: least, byToken: map[token]*endpoint{}}
	for i, w := range weights {
		s := newServer(ServerKey{"p", fmt.Sprint(i)}, netip.MustParseAddrPort("192.0.2.1:80"), true)
		b.pool.members = append(b.pool.members, member{s, w})
		b.ends = append(b.ends, newEndpoint(endpointKey{server: s, port: 80}, 1))
		b.byToken[s.token] = b.ends[i]
	}
	b.pool.refresh()
	return b
}

func TestSmoothOrder(t *testing.T) {
	for name, tc := range map[string]struct {
		weights []int
		want    []uint16
	}{
		"none":          {nil, []uint16{}},
		"zero":          {[]int{0, 0}, []uint16{}},
		"equal":         {[]int{100, 100, 100}, []uint16{0, 1, 2}},
		"one is zero":   {[]int{5, 0, 5}, []uint16{0, 2}},
		"5 1 1, smooth": {[]int{5, 1, 1}, []uint16{0, 0, 1, 0, 2, 0, 0}},
		"common factor": {[]int{20, 10}, []uint16{0, 1, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, smoothOrder(tc.weights)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOrderHasEachServerByItsWeight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(0, 65535), 1, 40).Draw(t, "weights")
		order := smoothOrder(weights)
		count, sum := make([]int, len(weights)), 0
		for _, i := range order {
			count[i]++
		}
		for _, w := range weights {
			sum += w
		}
		if len(order) > maxOrder+len(weights) {
			t.Fatalf("order of %d", len(order))
		}
		for i, w := range weights {
			if (w > 0) != (count[i] > 0) {
				t.Fatalf("weight %d comes %d times", w, count[i])
			}
			want := float64(w) / float64(max(sum, 1)) * float64(len(order))
			if diff := float64(count[i]) - want; diff < -1-float64(len(weights)) || diff > 1+float64(len(weights)) {
				t.Fatalf("weight %d of %d comes %d times in %d, want %.1f", w, sum, count[i], len(order), want)
			}
		}
	})
}

func TestPickRoundRobin(t *testing.T) {
	b := testBackend(false, 2, 1, 1)
	count := map[*endpoint]int{}
	for range 400 {
		count[b.pick(nil)]++
	}
	if count[b.ends[0]] != 200 || count[b.ends[1]] != 100 || count[b.ends[2]] != 100 {
		t.Errorf("shares %v", count)
	}
	b.ends[0].healthy.Store(false) // the order still has it
	for range 10 {
		if b.pick(nil) == b.ends[0] || b.pick([]*endpoint{b.ends[1]}) != b.ends[2] {
			t.Fatal("an unhealthy server or one that was tried is picked")
		}
	}
	if b.pick([]*endpoint{b.ends[1], b.ends[2]}) != nil {
		t.Error("a server is picked though none is left")
	}
}

func TestPickLeastConnection(t *testing.T) {
	for name, tc := range map[string]struct {
		weights []int
		current []int64
		want    int
	}{
		"fewest":           {[]int{1, 1, 1}, []int64{3, 1, 2}, 1},
		"by weight":        {[]int{4, 1}, []int64{3, 1}, 0},
		"by weight, other": {[]int{4, 1}, []int64{5, 1}, 1},
		"weight 0 is out":  {[]int{0, 1}, []int64{0, 9}, 1},
		"large weights":    {[]int{65535, 1}, []int64{65534, 1}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := testBackend(true, tc.weights...)
			for i, n := range tc.current {
				b.ends[i].current.Store(n)
			}
			for range 5 {
				if got := b.pick(nil); got != b.ends[tc.want] {
					t.Fatalf("picked %s, want %d", got.key.Server, tc.want)
				}
			}
		})
	}
}

func TestPickLeastConnectionSpreadsTies(t *testing.T) {
	b := testBackend(true, 3, 1)
	count := map[*endpoint]int{}
	for range 400 {
		count[b.pick(nil)]++
	}
	if count[b.ends[0]] != 300 {
		t.Errorf("idle servers get %v, want 300 and 100", count)
	}
}

func TestTokensAreStable(t *testing.T) {
	got := tokenOf(ServerKey{"imaging/radiology/viewer", "pacs-a"})
	if string(got[:]) != "16b0189017efeac0" {
		t.Errorf("token %s: browsers would lose their server at an upgrade", got)
	}
}
