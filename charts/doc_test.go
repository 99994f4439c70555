// Package charts tests the Helm charts and the kustomize base like code: golden renders, schemas,
// and that both ways install the same.
package charts

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

var update = flag.Bool("update", false, "write golden files, the CRD chart and the table of values anew")

// program finds a pinned program: by environment variable, else in .cache/bin. A program that is
// missing fails the test.
func program(t *testing.T, variable, name string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		path = filepath.Join("..", ".cache", "bin", name)
	}
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("%s is missing: build it into .cache/bin or set %s: %v", name, variable, err)
	}
	return path
}

// helm runs helm without reading or leaving anything in the user's directories.
func helm(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, "HELM", "helm"), args...)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home, "KUBECONFIG=/dev/null")
	out, err := cmd.Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return out, errors.New(string(exit.Stderr) + string(out))
	}
	return out, err
}

func template(t *testing.T, chart string, more ...string) []byte {
	t.Helper()
	args := append([]string{"template", "pacs", chart, "--namespace", "truepacs-system"}, more...)
	out, err := helm(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func kustomize(t *testing.T) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program(t, "KUBECTL", "kubectl"), "kustomize", "../config/default").Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		t.Fatalf("kubectl kustomize: %s", exit.Stderr)
	}
	return out
}

// objects decodes a stream of YAML documents.
func objects(t *testing.T, text []byte) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(object.Object) > 0 {
			out = append(out, object)
		}
	}
}

// find returns the object of a kind and name as T.
func find[T any](t *testing.T, all []*unstructured.Unstructured, kind, name string) *T {
	t.Helper()
	for _, object := range all {
		if object.GetKind() == kind && object.GetName() == name {
			out := new(T)
			if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, out, true); err != nil {
				t.Fatalf("%s %s: %v", kind, name, err)
			}
			return out
		}
	}
	t.Fatalf("no %s %s", kind, name)
	return nil
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got); when the change is meant: go test ./charts -update\n%s", path, diff)
	}
}
