package initramfs

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseLdd(t *testing.T) {
	output := "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibnftables.so.1 => /lib/x86_64-linux-gnu/libnftables.so.1 (0x00007f)\n" +
		"\tlibgone.so.2 => not found\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n"
	paths, missing := parseLdd(output)
	if diff := cmp.Diff([]string{"/lib/x86_64-linux-gnu/libnftables.so.1", "/lib64/ld-linux-x86-64.so.2"}, paths); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"libgone.so.2"}, missing); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
	if err := New().libraries("/bin/x", output); err == nil {
		t.Error("a missing library was accepted")
	}
}

// TestTree has cpio unpack what the tree wrote.
func TestTree(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	if err := os.WriteFile(source, []byte("copied"), 0o751); err != nil {
		t.Fatal(err)
	}
	tree := New()
	tree.Write("/lib/deep/er/file", "text", 0o640)
	tree.Link("/bin/link", "target")
	if err := tree.Copy("/sbin/program", source); err != nil {
		t.Fatal(err)
	}
	if !tree.Has("/usr/sbin/program") || tree.Has("/usr/sbin/other") {
		t.Error("Has does not see /sbin in /usr/sbin")
	}
	var archive bytes.Buffer
	if _, err := tree.WriteTo(&archive); err != nil {
		t.Fatal(err)
	}
	cpio := exec.Command("cpio", "-id", "--quiet")
	cpio.Dir, cpio.Stdin = filepath.Join(dir, "out"), &archive
	if err := os.Mkdir(cpio.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if output, err := cpio.CombinedOutput(); err != nil || len(output) > 0 {
		t.Fatalf("cpio: %v: %s", err, output)
	}
	checkFile(t, filepath.Join(cpio.Dir, "usr/lib/deep/er/file"), "text", 0o640)
	checkFile(t, filepath.Join(cpio.Dir, "sbin/program"), "copied", 0o751)
	if target, err := os.Readlink(filepath.Join(cpio.Dir, "usr/bin/link")); err != nil || target != "target" {
		t.Errorf("link: %q, %v", target, err)
	}
}

func checkFile(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != content {
		t.Errorf("%s: %q, %v", path, got, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
		t.Errorf("%s: %v, %v", path, info, err)
	}
}

func TestProgramMissing(t *testing.T) {
	if err := New().Program(t.Context(), "no-such-program"); err == nil {
		t.Error("a program that is not there was put in")
	}
	if err := New().Copy("/x", "/no/such/file"); err == nil {
		t.Error("a file that is not there was put in")
	}
}
