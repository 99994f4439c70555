package binaries

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLdflags(t *testing.T) {
	tests := map[string]struct {
		mod, want, err string
	}{
		"indirect, in a block": {"require (\n\tk8s.io/kubernetes v1.37.2 // indirect\n)\n",
			"-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37", ""},
		"a line of its own": {"require k8s.io/kubernetes v1.40.0\n",
			"-s -w -X k8s.io/component-base/version.gitVersion=v1.40.0 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=40", ""},
		"only a comment": {"// k8s.io/kubernetes v1.37.2\n", "", "restore the file"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ldflags([]byte(tc.mod))
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("error %v, want one that says %q", err, tc.err)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Errorf("got %q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

func TestFindTakesEnvtestAssets(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(AssetsVariable, dir)
	_, err := Find(t.Context(), Etcd)
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("an empty directory of assets: %v, want %v", err, ErrNotFound)
	}
	want := Set{}
	for _, name := range assets {
		want[name] = filepath.Join(dir, string(name))
		if err := os.WriteFile(want[name], nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Find(t.Context(), assets...)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("programs (-want +got):\n%s", diff)
	}
}

// TestRecipeFollowsThePin: another pin is another build; the same pin is not.
func TestRecipeFollowsThePin(t *testing.T) {
	digest := func(mod, sum string) string {
		dir := t.TempDir()
		for name, text := range map[string]string{"go.mod": mod, "go.sum": sum} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r, err := readRecipe(dir)
		if err != nil {
			t.Fatal(err)
		}
		return r.digest
	}
	const mod = "require k8s.io/kubernetes v1.37.2\n"
	if first, again := digest(mod, "a"), digest(mod, "a"); first != again {
		t.Error("the same pin gives different digests")
	}
	if digest(mod, "a") == digest(mod, "b") || digest(mod, "a") == digest("require k8s.io/kubernetes v1.37.3\n", "a") {
		t.Error("different pins give the same digest")
	}
}

// TestBuildIsSkippedWhenCurrent: a current program is left as it is, or this test would run for minutes.
func TestBuildIsSkippedWhenCurrent(t *testing.T) {
	root := t.TempDir()
	out, module := filepath.Join(root, binDir), filepath.Join(root, moduleDir)
	for _, dir := range []string{out, module} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range map[string]string{
		filepath.Join(module, "go.mod"): "module x\nrequire k8s.io/kubernetes v1.37.2\n", filepath.Join(module, "go.sum"): "",
		filepath.Join(out, "kubelet"): "current",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Build(t.Context(), root, Kubelet); err == nil {
		t.Fatal("a program without a stamp was taken for current")
	}
	r, err := readRecipe(module)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, ".kubelet.built"), []byte(r.digest), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Build(t.Context(), root, Kubelet); err != nil {
		t.Errorf("a current program was built again: %v", err)
	}
}
