package drivers_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/lab"
)

// programs are the packages whose tests run in the machine, by the name of their program.
var programs = map[string]string{
	"inside":     "./e2e/drivers/inside",
	"nft":        "./dataplane/nft",
	"netif":      "./dataplane/netif",
	"realserver": "./dataplane/realserver",
	"forwarding": "./dataplane/netif/forwarding",
	"announce":   "./dataplane/announce",
}

// TestDriversOnDebiansKernel runs the contracts in one machine.
func TestDriversOnDebiansKernel(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for name, folder := range programs {
		files["/test/"+name] = buildTest(t, folder)
	}
	m := newMachine(t, files)
	t.Run("module comes late", func(t *testing.T) { runTest(t, m, "inside", "-test.run=^TestLateModule$") })
	t.Run("ipvs", func(t *testing.T) {
		runTest(t, m, "inside", "-test.skip=^(TestLateModule|TestReloadedModule|TestStatesUnderFlows|TestResync|TestResyncTraced)$")
	})
	for _, name := range []string{"nft", "netif", "realserver", "forwarding", "announce"} {
		t.Run(name, func(t *testing.T) { runTest(t, m, name, "-test.skip=^TestAnyState") })
	}
	t.Run("module is reloaded", func(t *testing.T) { runTest(t, m, "inside", "-test.run=^TestReloadedModule$") })
}

// buildTest builds a package's tests as a static program, for the machine has no C library.
func buildTest(t *testing.T, folder string) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	output := filepath.Join(t.TempDir(), "test")
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags=machine", "-o", output, folder)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the tests of %s: %v\n%s", folder, err, out)
	}
	return output
}

// newLab makes a lab that the end of the test removes.
func newLab(t *testing.T) *lab.Lab {
	t.Helper()
	l, err := lab.New(lab.Options{Name: "drivers", Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func newMachine(t *testing.T, files map[string]string, tools ...string) *lab.Machine {
	t.Helper()
	l := newLab(t)
	lan, err := l.Network("lan")
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.Machine("lb1", lab.MachineSpec{
		NICs:     []lab.NIC{{Network: lan, Addresses: lab.Prefixes("192.0.2.2/24")}},
		MemoryMB: 1024,
		Tools:    append([]string{"ip", "ipvsadm", "nft", "tcpdump"}, tools...),
		Files:    files,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// runTest runs a test program in the machine; its output is the test's.
func runTest(t *testing.T, m *lab.Machine, name string, arguments ...string) {
	t.Helper()
	runTestUnder(t, m, nil, name, arguments...)
}

// runTestUnder is runTest with a command that starts the program.
func runTestUnder(t *testing.T, m *lab.Machine, wrapper []string, name string, arguments ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	program := append([]string{"/test/" + name, "-test.v", "-test.timeout=14m"}, arguments...)
	result, err := m.Run(ctx, slices.Concat(scaleAsked(), wrapper, program)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s:\n%s%s", name, result.Stdout, result.Stderr)
	if result.ExitCode != 0 {
		t.Errorf("the tests of %s end with status %d", name, result.ExitCode)
	}
}
