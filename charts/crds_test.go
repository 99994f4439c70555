package charts

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// keep is put into each CRD, so that uninstalling the chart keeps it.
const keep = "    helm.sh/resource-policy: keep\n"

// TestCRDChartIsTheGeneratedOne: the chart's templates are the files of config/crd/bases with the
// keep policy, byte for byte.
func TestCRDChartIsTheGeneratedOne(t *testing.T) {
	bases, err := filepath.Glob("../config/crd/bases/*.yaml")
	if err != nil || len(bases) != 3 {
		t.Fatalf("%d generated CRDs: %v", len(bases), err)
	}
	for _, base := range bases {
		text, err := os.ReadFile(base)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("{{")) {
			t.Errorf("%s would be taken for a template", base)
		}
		want := bytes.Replace(text, []byte("  annotations:\n"), []byte("  annotations:\n"+keep), 1)
		if bytes.Equal(want, text) {
			t.Fatalf("%s has no annotations to add the keep policy to", base)
		}
		golden(t, filepath.Join("truepacs-crds/templates", filepath.Base(base)), want)
	}
	files, err := filepath.Glob("truepacs-crds/templates/*.yaml")
	if err != nil || len(files) != len(bases) {
		t.Errorf("the chart has %d CRDs, generated are %d: %v", len(files), len(bases), err)
	}
}

func TestCRDsAreKept(t *testing.T) {
	all := objects(t, template(t, "truepacs-crds"))
	if len(all) != 3 {
		t.Fatalf("%d objects", len(all))
	}
	for _, crd := range all {
		if crd.GetAnnotations()["helm.sh/resource-policy"] != "keep" {
			t.Errorf("uninstalling would delete %s", crd.GetName())
		}
	}
}
