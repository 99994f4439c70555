// Package netnstest gives a test a network namespace of its own with the rights of the agent's
// pod: the capabilities NET_ADMIN and NET_RAW and nothing else, and /proc/sys read-only.
//
// It is for tests of the data plane's drivers. The namespace belongs to the test's thread and
// vanishes with it, whatever the test does; it needs root.
package netnstest

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Enter moves the calling test into a fresh network namespace with only lo, which is up. The
// test's goroutine stays locked to its thread, which ends with the test. Subtests and
// goroutines that the test starts are not in the namespace.
func Enter(t testing.TB) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		t.Fatalf("make a network namespace: %v: run this test as root", err)
	}
	protectProc(t)
	dropCapabilities(t)
	Run(t, "ip", "link", "set", "lo", "up")
}

// protectProc makes /proc/sys read-only, as container runtimes do.
func protectProc(t testing.TB) {
	t.Helper()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatalf("make mounts private: %v", err)
	}
	if err := unix.Mount("/proc/sys", "/proc/sys", "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("bind /proc/sys: %v", err)
	}
	if err := unix.Mount("", "/proc/sys", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatalf("make /proc/sys read-only: %v", err)
	}
}

// dropCapabilities leaves the thread and the programs that it starts what a pod has.
func dropCapabilities(t testing.TB) {
	t.Helper()
	const kept = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if kept&(1<<c) != 0 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			t.Fatalf("drop capability %d: %v", c, err)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{{Effective: kept, Permitted: kept}}
	if err := unix.Capset(&header, &data[0]); err != nil {
		t.Fatalf("drop capabilities: %v", err)
	}
}

// Veth adds a pair of connected interfaces, both up.
func Veth(t testing.TB, a, b string) {
	t.Helper()
	Run(t, "ip", "link", "add", a, "type", "veth", "peer", "name", b)
	Run(t, "ip", "link", "set", a, "up")
	Run(t, "ip", "link", "set", b, "up")
}

// Run runs a program in the test's namespace and returns what it printed; a failure ends the
// test.
func Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
