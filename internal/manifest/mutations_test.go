package manifest_test

import (
	"os"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/internal/manifest"
	"github.com/truepacs/balancer/internal/testutil/mutate"
)

func sampleText(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("../../config/samples/" + name)
	must(t, err)
	return text
}

// TestAFileThatIsHalfWrittenLosesNoObject cuts a sample after each of its bytes, as a reader sees
// it that comes while an editor saves.
func TestAFileThatIsHalfWrittenLosesNoObject(t *testing.T) {
	text := sampleText(t, "l4-only.yaml")
	past, _ := reader(t).Read(dir(map[string]string{"f.yaml": string(text)}))
	if len(past.Balancers) != 1 {
		t.Fatalf("the sample has %d balancers", len(past.Balancers))
	}
	for n := range len(text) {
		next, problems := reader(t).Read(dir(map[string]string{"f.yaml": string(text[:n])}))
		if kept := manifest.Keep(past, next, problems); len(kept.Balancers) != 1 {
			t.Errorf("cut after %d bytes: %d balancers, problems %v", n, len(kept.Balancers), problems)
		}
	}
}

// TestTextMutations: whatever happens to the text, a neighbour in another file is read, and an
// object is gone only if nothing is wrong.
func TestTextMutations(t *testing.T) {
	text := sampleText(t, "viewer.yaml")
	files := map[string]string{"f.yaml": string(text), "g.yaml": balancer("neighbour")}
	past, problems := reader(t).Read(dir(files))
	if len(past.Files) != 3 || len(problems) > 0 {
		t.Fatalf("%d objects, %v", len(past.Files), problems)
	}
	bad := 0
	for seed := range uint64(1000) {
		changed, what := mutate.Text(text, seed)
		files["f.yaml"] = string(changed)
		next, problems := reader(t).Read(dir(files))
		if _, there := next.Files[manifest.Object{Kind: "TruePACSBalancer", NamespacedName: name("neighbour")}]; !there {
			t.Errorf("seed %d (%s): the neighbour is lost: %v", seed, what, problems)
		}
		if len(problems) == 0 {
			continue
		}
		bad++
		if kept := manifest.Keep(past, next, problems); len(kept.Files) < 3 && len(problems) > 0 && !renamed(problems) {
			t.Errorf("seed %d (%s): %v is left: %v", seed, what, objects(kept), problems)
		}
	}
	if bad < 200 {
		t.Errorf("only %d of 1000 mutations are refused: they prove nothing", bad)
	}
}

func name(n string) types.NamespacedName { return types.NamespacedName{Namespace: "default", Name: n} }

// renamed tells whether a problem names an object that is bad and another one changed its name
// without any fault: that one was removed on purpose.
func renamed(problems []manifest.Problem) bool {
	for _, p := range problems {
		if p.Object.Name == "" {
			return false
		}
	}
	return true
}
