package translate_test

import (
	"encoding/json"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/internal/testutil/badspecs"
	"github.com/truepacs/balancer/internal/translate"
)

// typed is an object that came past the schema.
func typed(t *testing.T, obj badspecs.Block) *v1alpha1.TruePACSBalancer {
	t.Helper()
	text, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	var b v1alpha1.TruePACSBalancer
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	return &b
}

func acceptedOf(r translate.Result, b *v1alpha1.TruePACSBalancer) translate.Condition {
	return r.Balancers[types.NamespacedName{Namespace: b.Namespace, Name: b.Name}].Conditions[0]
}

// TestRelationsAreRefusedHereToo: the table that holds the schema to its rules holds translation
// to the same, for objects that came past the schema. What worked before goes on, and the remedy
// is programmed.
func TestRelationsAreRefusedHereToo(t *testing.T) {
	base := typed(t, badspecs.Object())
	past := translate.Translate(sampleInput(t, base, nil))
	if c := acceptedOf(past, base); c.Status != "True" {
		t.Fatalf("the base is refused: %+v", c)
	}
	for name, tc := range badspecs.Relations() {
		t.Run(name, func(t *testing.T) {
			bad := typed(t, badspecs.Object(tc.Bad))
			in := sampleInput(t, bad, past.Kept)
			result := translate.Translate(in)
			c := acceptedOf(result, bad)
			if c.Status != "False" || !strings.Contains(c.Message, tc.Says) || !strings.Contains(c.Message, "spec.") {
				t.Errorf("not refused with %q: %+v", tc.Says, c)
			}
			checkNode(t, name, in, result)
			for _, s := range result.Balancers[types.NamespacedName{Namespace: bad.Namespace, Name: bad.Name}].Services {
				if !good(s.Conditions) {
					checkRefused(t, name, s, in, result)
				}
			}
			remedy := typed(t, badspecs.Object(tc.Remedy))
			if c := acceptedOf(translate.Translate(sampleInput(t, remedy, past.Kept)), remedy); c.Status != "True" {
				t.Errorf("the remedy is refused: %+v", c)
			}
		})
	}
	if n := len(badspecs.Relations()); n < 45 {
		t.Errorf("%d cases, want at least 45", n)
	}
}

// TestRemediesOfAllBadSpecsAreProgrammed: what a message proposes works on a director too.
func TestRemediesOfAllBadSpecsAreProgrammed(t *testing.T) {
	for name, tc := range badspecs.All() {
		b := typed(t, badspecs.Object(tc.Remedy))
		in := sampleInput(t, b, nil)
		in.Node.Interfaces = append(in.Node.Interfaces, translate.Interface{Name: "enp0s31f6.100"})
		if c := acceptedOf(translate.Translate(in), b); c.Status != "True" {
			t.Errorf("%s: %+v", name, c)
		}
	}
}
