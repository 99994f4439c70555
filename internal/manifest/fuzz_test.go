package manifest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/truepacs/balancer/internal/manifest"
)

// FuzzManifest: whatever a file holds, reading it ends, what is taken is what the API server
// would take, and every problem says where and what.
func FuzzManifest(f *testing.F) {
	samples, err := filepath.Glob("../../config/samples/*.yaml")
	if err != nil || len(samples) == 0 {
		f.Fatal("no samples")
	}
	for _, name := range samples {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, tc := range badDocuments() {
		f.Add([]byte(tc.text))
	}
	r := reader(f)
	v, err := compiled()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		set, problems := r.Read(fstest.MapFS{"f.yaml": &fstest.MapFile{Data: text}})
		quiet := bytes.Contains(text, []byte("Namespace")) || bytes.Contains(text, []byte("List"))
		if len(set.Files)+len(problems) == 0 && !quiet {
			t.Error("nothing read and nothing said")
		}
		for _, b := range set.Balancers {
			if errs := v.Validate(b); len(errs) > 0 {
				t.Errorf("taken, but %v", errs.ToAggregate())
			}
		}
		checkProblems(t, text, problems)
		if kept := manifest.Keep(set, set, problems); len(kept.Files) != len(set.Files) {
			t.Errorf("kept %d of %d objects", len(kept.Files), len(set.Files))
		}
	})
}

func checkProblems(t *testing.T, text []byte, problems []manifest.Problem) {
	t.Helper()
	lines := bytes.Count(text, []byte("\n")) + bytes.Count(text, []byte("\r")) + 1
	for _, p := range problems {
		if p.Message == "" || p.File != "f.yaml" || p.Line < 0 || p.Line > lines+1 {
			t.Errorf("problem %+v in a file of %d lines", p, lines)
		}
	}
}
