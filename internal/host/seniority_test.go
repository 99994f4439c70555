package host

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// dated makes balancers in the order of their files, each with the second given.
func dated(seconds ...int64) []*v1alpha1.TruePACSBalancer {
	var out []*v1alpha1.TruePACSBalancer
	for i, s := range seconds {
		out = append(out, &v1alpha1.TruePACSBalancer{ObjectMeta: metav1.ObjectMeta{
			Name: string(rune('a' + i)), CreationTimestamp: metav1.NewTime(time.Unix(s, 0).UTC()),
		}})
	}
	return out
}

func TestRank(t *testing.T) {
	for name, tc := range map[string]struct {
		known, now, want []int64
		// first is how many of now were not known: they come first by name.
		first int
	}{
		"nothing known":             {nil, []int64{0, 1}, []int64{0, 1}, 0},
		"all known":                 {[]int64{5, 3}, []int64{0, 1}, []int64{5, 3}, 0},
		"new ones before by name":   {[]int64{0, 1, 7}, []int64{0, 1, 2}, []int64{8, 9, 7}, 2},
		"a new one with own time":   {[]int64{0, 1}, []int64{1000, 1}, []int64{1000, 1}, 1},
		"several with the own time": {[]int64{0, 0, 2}, []int64{50, 1, 2}, []int64{50, 51, 2}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			known, now := dated(tc.known...), dated(tc.now...)
			rank(slices.Delete(known, 0, tc.first), now)
			var got []int64
			for _, b := range now {
				got = append(got, b.CreationTimestamp.Unix())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
