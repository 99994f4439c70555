package mutate_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/internal/testutil/mutate"
)

func sample() map[string]any {
	return map[string]any{"kind": "K", "spec": map[string]any{
		"name": "a", "ports": []any{int64(1), int64(2)}, "servers": []any{map[string]any{"name": "s", "weight": int64(3)}},
	}}
}

func TestObjectIsStableAndLeavesTheSampleAlone(t *testing.T) {
	object := sample()
	same, descriptions := 0, map[string]bool{}
	for seed := range uint64(500) {
		a, b := mutate.Object(object, seed), mutate.Object(object, seed)
		if a.Description != b.Description || !bytes.Equal(a.JSON(), b.JSON()) {
			t.Fatalf("seed %d gives two mutations: %s, %s", seed, a.Description, b.Description)
		}
		if a.Description == "" {
			t.Errorf("seed %d has no description", seed)
		}
		if cmp.Equal(a.Object, object) {
			same++
		}
		descriptions[a.Description] = true
	}
	if diff := cmp.Diff(sample(), object); diff != "" {
		t.Errorf("the sample changed:\n%s", diff)
	}
	if same > 60 || len(descriptions) < 220 {
		t.Errorf("of 500 mutations %d change nothing and %d are distinct", same, len(descriptions))
	}
}

func TestObjectWithoutSpec(t *testing.T) {
	if m := mutate.Object(map[string]any{"spec": "x"}, 1); m.Description != "" || m.Object["spec"] != "x" {
		t.Errorf("got %+v", m)
	}
}

func TestTextIsStableAndLeavesTheSampleAlone(t *testing.T) {
	text := []byte("a: 1\nb:\n- c\n- d\n")
	before := bytes.Clone(text)
	seen := map[string]bool{}
	for seed := range uint64(300) {
		a, what := mutate.Text(text, seed)
		b, again := mutate.Text(text, seed)
		if !bytes.Equal(a, b) || what != again || what == "" {
			t.Fatalf("seed %d gives %q (%s) and %q (%s)", seed, a, what, b, again)
		}
		seen[string(a)] = true
	}
	if !bytes.Equal(before, text) {
		t.Errorf("the sample changed: %q", text)
	}
	if len(seen) < 60 {
		t.Errorf("only %d distinct texts", len(seen))
	}
	if out, _ := mutate.Text(nil, 8); len(out) > 12 {
		t.Errorf("nothing became %q", out)
	}
}
