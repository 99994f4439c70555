package lab_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/lab/initramfs"
)

// systemImage makes the smallest image that systemd boots: this machine's systemd
// and two targets.
func systemImage(t *testing.T) string {
	t.Helper()
	tree := initramfs.New()
	for _, program := range []string{"/lib/systemd/systemd", "systemctl", "ip", "mount"} {
		if err := tree.Program(t.Context(), program); err != nil {
			t.Fatal(err)
		}
	}
	if err := tree.Busybox(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := tree.Program(t.Context(), "modprobe"); err != nil {
		t.Fatal(err)
	}
	tree.Link("/usr/sbin/init", "../lib/systemd/systemd")
	tree.Write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644)
	tree.Write("/etc/group", "root:x:0:\n", 0o644)
	tree.Write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n", 0o444)
	tree.Write("/etc/systemd/system/default.target", "[Unit]\nDescription=Test system\nRequires=sysinit.target\nAfter=sysinit.target\n", 0o644)
	tree.Write("/etc/systemd/system/sysinit.target", "[Unit]\nDescription=Start\nDefaultDependencies=no\n", 0o644)

	dir := t.TempDir()
	archive, root, image := filepath.Join(dir, "cpio"), filepath.Join(dir, "root"), filepath.Join(dir, "image")
	if err := tree.Save(archive); err != nil {
		t.Fatal(err)
	}
	script := `mkdir "$1" && cd "$1" && cpio -id --quiet < "$0" && mkfs.ext4 -q -F -d . "$2" 256M`
	if output, err := exec.Command("sh", "-c", script, archive, root, image).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return image
}

// TestRootDisk boots a system with its own systemd from an image that knows nothing
// of the lab.
func TestRootDisk(t *testing.T) {
	l := newLab(t)
	image := systemImage(t)
	before, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	m := machine(t, l, "worker", lab.MachineSpec{
		NICs:     []lab.NIC{{Network: network(t, l), Addresses: lab.Prefixes("192.0.2.2/24")}},
		RootDisk: image, Modules: []string{"dummy"},
	})
	if got := run(t, m, "cat", "/proc/1/comm"); got != "systemd\n" {
		t.Errorf("process 1 is %q", got)
	}
	if got := run(t, m, "systemctl", "show", "-P", "ActiveState", "labguest.service"); got != "active\n" {
		t.Errorf("the agent's service is %q", got)
	}
	if got := run(t, m, "ip", "-o", "-4", "addr", "show", "dev", "eth0"); !strings.Contains(got, "192.0.2.2/24") {
		t.Errorf("eth0 has %q", got)
	}
	if got := run(t, m, "cat", "/proc/modules"); !strings.Contains(got, "dummy ") {
		t.Errorf("the module asked for is not loaded:\n%s", got)
	}
	run(t, m, "sh", "-c", "mount -o remount,rw /; echo kept > /root/state; sync")
	if err := m.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := run(t, m, "cat", "/root/state"); got != "kept\n" {
		t.Errorf("the disk has %q", got)
	}
	after, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Error("the image itself was written to")
	}
}
