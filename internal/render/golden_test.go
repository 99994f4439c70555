package render_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"sigs.k8s.io/yaml"

	"github.com/truepacs/balancer/internal/render"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew")

func place() render.Place {
	owner := func(name string) metav1.OwnerReference {
		return metav1.OwnerReference{APIVersion: "v1", Kind: "ServiceAccount", Name: name, UID: "11111111-2222-3333-4444-555555555555"}
	}
	return render.Place{
		Namespace: "truepacs-system",
		Version:   "v1.2.3",
		Owners:    map[string]metav1.OwnerReference{render.AgentName: owner(render.AgentName), render.ProxyName: owner(render.ProxyName)},
	}
}

func mustRender(t *testing.T, s render.Settings, p render.Place) []*appsv1ac.DaemonSetApplyConfiguration {
	t.Helper()
	sets, err := render.DaemonSets(s, p)
	if err != nil {
		t.Fatal(err)
	}
	return sets
}

// TestGolden renders testdata/NAME.in.yaml and compares with testdata/NAME.out.yaml.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(inputs) < 2 {
		t.Fatalf("found %d inputs in testdata: %v", len(inputs), err)
	}
	for _, in := range inputs {
		t.Run(filepath.Base(in), func(t *testing.T) {
			s, err := render.ReadFile(in)
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, in[:len(in)-len(".in.yaml")]+".out.yaml", documents(t, mustRender(t, s, place())))
		})
	}
}

func documents(t *testing.T, sets []*appsv1ac.DaemonSetApplyConfiguration) []byte {
	t.Helper()
	var parts [][]byte
	for _, ds := range sets {
		text, err := yaml.Marshal(ds)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, text)
	}
	return bytes.Join(parts, []byte("---\n"))
}

func compareGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (write it with: go test ./internal/render -update)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
