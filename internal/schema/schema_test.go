package schema_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/truepacs/balancer/config/crd/bases"
	"github.com/truepacs/balancer/internal/schema"
	"github.com/truepacs/balancer/internal/testutil/badspecs"
)

type (
	block = badspecs.Block
	list  = badspecs.List
)

func validator(t testing.TB) *schema.Validator {
	t.Helper()
	v, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// compiled compiles the schema once for all tests of this package.
var compiled = sync.OnceValues(schema.New)

func decode(t testing.TB, obj block) field.ErrorList {
	t.Helper()
	raw, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	got, errs := validator(t).Decode(raw)
	if (got == nil) != (len(errs) > 0) {
		t.Fatalf("Decode returns object %v with errors %v", got != nil, errs)
	}
	return errs
}

func TestBaseIsAccepted(t *testing.T) {
	if errs := decode(t, badspecs.Object()); len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
}

func TestBadSpecsAreRefusedAndTheirRemediesAccepted(t *testing.T) {
	for name, tc := range badspecs.All() {
		t.Run(name, func(t *testing.T) {
			errs := decode(t, badspecs.Object(tc.Bad))
			if !names(errs, tc.Field, tc.Says) {
				t.Errorf("no message at %q says %q:\n%v", tc.Field, tc.Says, errs.ToAggregate())
			}
			if errs := decode(t, remedied(tc)); len(errs) > 0 {
				t.Errorf("the remedy is refused: %v", errs.ToAggregate())
			}
		})
	}
	if n := len(badspecs.All()); n < 60 {
		t.Errorf("%d cases, want at least 60", n)
	}
}

// remedied is the base with the remedy in place of what was bad.
func remedied(tc badspecs.Case) block { return badspecs.Object(tc.Remedy) }

func names(errs field.ErrorList, path, says string) bool {
	for _, e := range errs {
		if strings.HasPrefix(e.Field, path) && strings.Contains(e.Error(), says) {
			return true
		}
	}
	return false
}

// TestMessagesHoldNoRegularExpression: an administrator reads words. "should match" is how the
// library words a pattern that patternWords does not know.
func TestMessagesHoldNoRegularExpression(t *testing.T) {
	for name, tc := range badspecs.All() {
		for _, e := range decode(t, badspecs.Object(tc.Bad)) {
			if strings.Contains(e.Error(), "should match") || strings.Contains(e.Error(), "in body") {
				t.Errorf("%s: %v", name, e)
			}
		}
	}
}

// TestEveryPatternOfTheSpecHasWords reads the patterns from the generated definition itself.
func TestEveryPatternOfTheSpecHasWords(t *testing.T) {
	spec, _, found := strings.Cut(string(bases.TruePACSBalancers()), "\n          status:\n")
	if !found {
		t.Fatal("the definition has no status")
	}
	patterns := regexp.MustCompile(`(?m)^\s+pattern: (.*)$`).FindAllStringSubmatch(spec, -1)
	if len(patterns) < 10 {
		t.Fatalf("only %d patterns found", len(patterns))
	}
	for _, p := range patterns {
		if schema.PatternWords(strings.Trim(p[1], "'")) == "" {
			t.Errorf("no words for the pattern %s", p[1])
		}
	}
}

func TestTypedObjectIsValidatedLikeItsText(t *testing.T) {
	v := validator(t)
	raw, _ := json.Marshal(badspecs.Object())
	obj, errs := v.Decode(raw)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	if errs := v.Validate(obj); len(errs) > 0 {
		t.Errorf("a good object is refused: %v", errs.ToAggregate())
	}
	obj.TypeMeta = metav1.TypeMeta{}
	before := obj.DeepCopy()
	obj.Spec.VirtualIPs[0].Address = "127.0.0.1"
	before.Spec.VirtualIPs[0].Address = "127.0.0.1"
	if errs := v.Validate(obj); !names(errs, badspecs.VIP+".address", "loopback") {
		t.Errorf("a bad address is not named: %v", errs.ToAggregate())
	}
	if diff := cmp.Diff(before, obj); diff != "" {
		t.Errorf("Validate changed the object:\n%s", diff)
	}
}

func TestDecodeRefusesWhatIsNoObject(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "list": "[]", "number": "1", "half": `{"kind":`, "two": `{}{}`, "twice": `{"kind":"a","kind":"a"}`,
	} {
		if obj, errs := validator(t).Decode([]byte(text)); obj != nil || len(errs) == 0 {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestStatusIsNotLookedAt(t *testing.T) {
	if errs := decode(t, badspecs.Object(badspecs.Edits{"status": block{"conditions": "nonsense"}})); len(errs) > 0 {
		t.Errorf("status is looked at: %v", errs.ToAggregate())
	}
}

func TestValidateFromSeveralGoroutines(t *testing.T) {
	v := validator(t)
	raw, _ := json.Marshal(badspecs.Object(badspecs.Edits{badspecs.L4 + ".mode": "x"}))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if _, errs := v.Decode(raw); len(errs) == 0 {
					t.Error("a bad object is accepted")
				}
			}
		})
	}
	wg.Wait()
}

// maxDefinition is a fifth of what etcd takes for an object (1.5 MB), and less than what kubectl
// apply can put into an annotation (256 KiB).
const maxDefinition = 200 << 10

func TestDefinitionIsSmall(t *testing.T) {
	if n := len(bases.TruePACSBalancers()); n > maxDefinition {
		t.Errorf("the definition has %d bytes, at most %d are wanted", n, maxDefinition)
	}
}
