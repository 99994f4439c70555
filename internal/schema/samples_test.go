package schema_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/truepacs/balancer/internal/testutil/badspecs"
)

// samples returns the TruePACSBalancers of config/samples, by file name.
func samples(t *testing.T) map[string]block {
	t.Helper()
	files, err := filepath.Glob("../../config/samples/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("samples: %v, %v", files, err)
	}
	out := map[string]block{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range bytes.Split(text, []byte("\n---\n")) {
			if obj := badspecs.Parse(string(doc)); obj["kind"] == "TruePACSBalancer" {
				out[filepath.Base(file)] = obj
			}
		}
	}
	return out
}

func TestSamplesAreAccepted(t *testing.T) {
	for name, obj := range samples(t) {
		if errs := decode(t, obj); len(errs) > 0 {
			t.Errorf("%s: %v", name, errs.ToAggregate())
		}
	}
}

func samplesAreAccepted(t *testing.T, s server) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for name, obj := range samples(t) {
		obj["metadata"].(block)["namespace"] = "default"
		if err := s.create(ctx, obj); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
