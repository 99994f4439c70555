package nodeimage

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestParseMirror(t *testing.T) {
	tests := map[string]struct {
		targets, want string
		err           error
	}{
		"the release itself, not its updates": {"bookworm-updates http://a.example/debian/\nbookworm http://b.example/debian/\n", "http://b.example/debian/", nil},
		"another release only":                {"trixie http://a.example/debian/\n", "", ErrNoMirror},
		"nothing":                             {"", "", ErrNoMirror},
		"a line with a space too many":        {"bookworm http://a.example/ x\n", "", ErrNoMirror},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseMirror(tc.targets)
			if got != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("got %q, %v; want %q, %v", got, err, tc.want, tc.err)
			}
		})
	}
}

func TestDigestFollowsThePrograms(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a, b := file("a", "1"), file("b", "2")
	key := func(kubelet, pause string) string {
		k, err := digest(kubelet, pause)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	if first, again := key(a, b), key(a, b); first != again {
		t.Error("the same input gives different keys")
	}
	if key(a, b) == key(b, b) || key(a, b) == key(a, a) {
		t.Error("different programs give the same key")
	}
}

func TestAssemble(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"etc", "usr/share/doc/containerd", "lib/systemd/system"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("program"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := assemble(root, Options{Kubelet: program, Pause: program}); err != nil {
		t.Fatal(err)
	}
	links := map[string]string{
		"etc/systemd/system/multi-user.target.wants/kubelet.service":    "/etc/systemd/system/kubelet.service",
		"etc/systemd/system/multi-user.target.wants/containerd.service": "/lib/systemd/system/containerd.service",
		"etc/systemd/system/apt-daily.timer":                            os.DevNull,
	}
	for name, want := range links {
		if got, err := os.Readlink(filepath.Join(root, name)); err != nil || got != want {
			t.Errorf("%s leads to %q, %v; want %q", name, got, err, want)
		}
	}
	if info, err := os.Stat(filepath.Join(root, "usr/local/bin/kubelet")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("kubelet: %v, %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(root, "usr/share/doc")); !os.IsNotExist(err) {
		t.Errorf("documentation is still there: %v", err)
	}
}
