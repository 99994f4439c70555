package suite

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlanOfTheEnvironment(t *testing.T) {
	for name, tc := range map[string]struct {
		seed, from, rounds string
		want               Plan
		refused            bool
	}{
		"nothing set":  {want: Plan{"X", "ROUNDS", 7, 1, 2}},
		"resumed":      {seed: "3", from: "40", rounds: "5", want: Plan{"X", "ROUNDS", 3, 40, 5}},
		"from nothing": {from: "0", refused: true},
		"no rounds":    {rounds: "0", refused: true},
		"no number":    {seed: "seven", refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("X_SEED", tc.seed)
			t.Setenv("X_FROM", tc.from)
			t.Setenv("X_ROUNDS", tc.rounds)
			got, err := Plan{Name: "X", Unit: "ROUNDS", Seed: 7, Count: 2}.Read()
			if tc.refused != (err != nil) {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(tc.want, got); !tc.refused && diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPlanReadsAsItIsWritten(t *testing.T) {
	p := Plan{Name: "X", Unit: "ROUNDS", Seed: 3, From: 40, Count: 5}
	if got := p.String(); got != "X_SEED=3 X_FROM=40 X_ROUNDS=5" || p.Last() != 44 {
		t.Errorf("%s, last %d", got, p.Last())
	}
}
