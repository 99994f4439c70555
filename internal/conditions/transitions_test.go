package conditions_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/internal/conditions"
)

func TestTransitions(t *testing.T) {
	serverDown := func(in *conditions.Input) {
		in.Reports[0].Status.VirtualServices[0].ServerStates[1] = down("archive", "pacs-b")
	}
	cases := foldCases()
	tests := map[string]struct {
		before, after func(*conditions.Input)
		first         bool
		want          []string
	}{
		"first sight of nothing":   {first: true, after: cases["first visit: no agent yet"].change},
		"first sight, all well":    {first: true, after: cases["all well"].change, want: []string{"Normal Ready"}},
		"first sight, refused":     {first: true, after: cases["no director"].change, want: []string{"Warning NoDirector"}},
		"becomes ready":            {before: cases["first visit: no agent yet"].change, after: cases["all well"].change, want: []string{"Normal Ready"}},
		"director falls silent":    {before: cases["all well"].change, after: cases["director silent"].change, want: []string{"Warning DirectorSilent"}},
		"refused for other reason": {before: cases["no director"].change, after: cases["refused by the director"].change, want: []string{"Warning AddressInUse"}},
		"server falls":             {before: cases["all well"].change, after: serverDown, want: []string{"Warning ServerDown"}},
		"server back":              {before: serverDown, after: cases["all well"].change, want: []string{"Normal ServerUp"}},
		"nobody knows, then up":    {before: cases["server not checked yet"].change, after: cases["all well"].change},
		"nobody knows, then down":  {before: cases["server not checked yet"].change, after: serverDown, want: []string{"Warning ServerDown"}},
		"only words differ": {
			before: cases["no verdict across balancers"].change, after: cases["all well"].change,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var before v1alpha1.TruePACSBalancerStatus
			if !tc.first {
				in := working()
				tc.before(&in)
				before = conditions.Fold(in)
			}
			in := working()
			tc.after(&in)
			var got []string
			for _, tr := range conditions.Transitions(before, conditions.Fold(in)) {
				kind := "Normal "
				if tr.Warning {
					kind = "Warning "
				}
				if tr.Note == "" || len(tr.Note) > 1024 {
					t.Errorf("note of %d bytes: %q", len(tr.Note), tr.Note)
				}
				got = append(got, kind+tr.Reason)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
