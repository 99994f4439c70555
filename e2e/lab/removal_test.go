package lab_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/truepacs/balancer/e2e/lab"
)

// childVariable names, in a test process that another one started, the folder for
// its lab.
const childVariable = "LAB_TEST_CHILD_DIR"

// traces is what a lab in a folder has on this machine, seen from outside.
type traces struct {
	Folder     bool
	Processes  []string
	Namespaces int // network namespaces that processes of the lab are in
}

func tracesOf(t *testing.T, dir string) traces {
	t.Helper()
	var found traces
	_, err := os.Stat(dir)
	found.Folder = !errors.Is(err, os.ErrNotExist)
	namespaces := make(map[string]bool)
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		cmdline, _ := os.ReadFile(entry + "/cmdline")
		cwd, _ := os.Readlink(entry + "/cwd")
		if entry == fmt.Sprintf("/proc/%d", os.Getpid()) || !strings.Contains(string(cmdline)+cwd, dir) {
			continue
		}
		found.Processes = append(found.Processes, strings.ReplaceAll(string(cmdline), "\x00", " "))
		if ns, err := os.Readlink(entry + "/ns/net"); err == nil {
			namespaces[ns] = true
		}
	}
	found.Namespaces = len(namespaces)
	return found
}

// TestChild is no test but the process that TestKilled kills.
func TestChild(t *testing.T) {
	dir := os.Getenv(childVariable)
	if dir == "" {
		return // started as a test of its own: nothing to do
	}
	l, err := lab.New(lab.Options{WorkDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	lan := network(t, l)
	namespace(t, l, "host", lab.NIC{Network: lan})
	m := machine(t, l, "vm", lab.MachineSpec{NICs: []lab.NIC{{Network: lan}}, Disk: 32})
	if _, err := m.Capture(t.Context(), "eth0", ""); err != nil {
		t.Fatal(err)
	}
	fmt.Println("child is ready")
	select {}
}

// startChild starts this test program again with a lab in dir, and returns when the
// lab stands.
func startChild(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestChild$", "-test.v")
	child.Env = append(os.Environ(), childVariable+"="+dir)
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill(); _ = child.Wait() })
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "child is ready") {
			return child
		}
	}
	t.Fatal("the child ended before its lab stood")
	return nil
}

// awaitTraces fails when the lab's traces do not become the wanted ones.
func awaitTraces(t *testing.T, dir string, want traces) {
	t.Helper()
	var left traces
	for range 3000 {
		left = tracesOf(t, dir)
		if cmp.Equal(want, left) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("left of the lab: %+v", left)
}

// TestKilled kills a process with a lab, and in a second round also the supervisor
// that would have removed it: the next New then sweeps.
func TestKilled(t *testing.T) {
	t.Run("test process", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "lab")
		child := startChild(t, dir)
		before := tracesOf(t, dir)
		if !before.Folder || len(before.Processes) < 5 || before.Namespaces < 3 {
			t.Fatalf("the child's lab is not seen: %+v", before)
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		awaitTraces(t, dir, traces{})
	})
	t.Run("and supervisor", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "lab")
		child := startChild(t, dir)
		killSupervisor(t, child.Process.Pid)
		_ = child.Process.Kill()
		_ = child.Wait()
		awaitTraces(t, dir, traces{Folder: true}) // processes end by themselves
		sweepUntilGone(t, dir)
	})
}

// sweepUntilGone makes labs until one of them has swept the folder: a process that
// is ending is no longer to be seen but may still hold the lab's lock.
func sweepUntilGone(t *testing.T, dir string) {
	t.Helper()
	for range 300 {
		l, err := lab.New(lab.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if cmp.Equal(traces{}, tracesOf(t, dir)) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("New does not sweep: %+v", tracesOf(t, dir))
}

func killSupervisor(t *testing.T, parent int) {
	t.Helper()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
	if err != nil {
		t.Fatal(err)
	}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	for _, task := range tasks {
		content, _ := os.ReadFile(task)
		children = append(append(children, ' '), content...)
	}
	for _, field := range strings.Fields(string(children)) {
		var pid int
		_, _ = fmt.Sscan(field, &pid)
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.Contains(string(cmdline), "\x00supervise\x00") {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("the child has no supervisor")
}

// usage is what a process could leak.
type usage struct {
	Descriptors, Mounts, Children, Folders, Register int
}

func usageNow(t *testing.T, cache string) usage {
	t.Helper()
	count := func(pattern string) int {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	children := 0
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, task := range tasks {
		content, _ := os.ReadFile(task)
		children += len(strings.Fields(string(content)))
	}
	return usage{
		Descriptors: count("/proc/self/fd/*"), Mounts: strings.Count(string(mounts), "\n"), Children: children,
		Folders: count(filepath.Join(cache, "work-*")), Register: count(filepath.Join(cache, "labs", "*")),
	}
}

// TestSequence makes and removes twenty labs and finds nothing left.
func TestSequence(t *testing.T) {
	cache := t.TempDir()
	one := func(i int) {
		dir := filepath.Join(cache, fmt.Sprintf("work-%d", i))
		l, err := lab.New(lab.Options{CacheDir: cache, WorkDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		lan := network(t, l)
		host := namespace(t, l, "host", lab.NIC{Network: lan, Addresses: lab.Prefixes("192.0.2.2/24")})
		namespace(t, l, "peer", lab.NIC{Network: lan, Addresses: lab.Prefixes("192.0.2.3/24")})
		run(t, host, "ping", "-c", "1", "-W", "5", "192.0.2.3")
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			t.Fatal(err)
		}
		if left := tracesOf(t, dir); !cmp.Equal(traces{}, left) {
			t.Fatalf("lab %d left %+v", i, left)
		}
	}
	one(0) // the runtime opens its own descriptors with the first
	ignore := goleak.IgnoreCurrent()
	before := usageNow(t, cache)
	for i := range 20 {
		one(i + 1)
	}
	if err := goleak.Find(ignore); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, usageNow(t, cache)); diff != "" {
		t.Errorf("after 20 labs (-before +after):\n%s", diff)
	}
}

// TestOwnNamespaceUntouched compares the network of this machine before and with a
// lab.
func TestOwnNamespaceUntouched(t *testing.T) {
	state := func() string {
		output, err := exec.Command("sh", "-c", "ip -o link | cut -d' ' -f2; ip route; sysctl -a --pattern 'net.*forward|bridge-nf|arp_' 2>/dev/null").Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(output)
	}
	before := state()
	l := newLab(t)
	if _, err := l.Router("router", lab.NIC{Network: network(t, l), Addresses: lab.Prefixes("192.0.2.1/24")}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, state()); diff != "" {
		t.Errorf("the machine's own network changed (-before +with lab):\n%s", diff)
	}
}
