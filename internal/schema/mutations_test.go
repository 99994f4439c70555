package schema_test

import (
	"context"
	"testing"
	"time"

	"github.com/truepacs/balancer/internal/testutil/badspecs"
	"github.com/truepacs/balancer/internal/testutil/mutate"
)

// mutationsAgree throws mutations of the base and the samples at the API server: it must take
// exactly those that we take.
func mutationsAgree(t *testing.T, s server) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	bases := []block{badspecs.Object()}
	for _, obj := range samples(t) {
		obj["metadata"].(block)["namespace"] = "default"
		bases = append(bases, obj)
	}
	taken := 0
	const seeds = 300
	for _, obj := range bases {
		for seed := range uint64(seeds) {
			m := mutate.Object(obj, seed)
			ours := decode(t, m.Object)
			theirs := s.create(ctx, m.Object)
			if theirs == nil {
				taken++
			} else if !refused(theirs) {
				t.Fatalf("seed %d (%s): %v", seed, m.Description, theirs)
			}
			if (len(ours) == 0) != (theirs == nil) {
				t.Errorf("seed %d (%s): we say %v, the API server says %.500v", seed, m.Description, ours.ToAggregate(), theirs)
			}
		}
	}
	if all := seeds * len(bases); taken < all/20 || taken > all*19/20 {
		t.Errorf("%d of %d mutations are taken: they prove nothing", taken, all)
	}
	t.Logf("%d of %d mutations are taken", taken, seeds*len(bases))
}
