package lab_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/e2e/lab"
)

// network makes the one network of a test.
func network(t *testing.T, l *lab.Lab, options ...lab.NetworkOption) *lab.Network {
	t.Helper()
	n, err := l.Network("lan", options...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func namespace(t *testing.T, l *lab.Lab, name string, nics ...lab.NIC) *lab.Namespace {
	t.Helper()
	n, err := l.Namespace(name, nics...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func machine(t *testing.T, l *lab.Lab, name string, spec lab.MachineSpec) *lab.Machine {
	t.Helper()
	m, err := l.Machine(name, spec)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestMachine is one machine's life: its interfaces are the test's alone, IPVS
// comes on demand, files survive a power failure on the disk and nowhere else.
func TestMachine(t *testing.T) {
	l := newLab(t)
	lan := network(t, l)
	m := machine(t, l, "lb1", lab.MachineSpec{
		NICs:  []lab.NIC{{Network: lan, Addresses: lab.Prefixes("192.0.2.2/24", "2001:db8::2/64")}},
		Tools: []string{"ip", "ipvsadm"},
		Disk:  64,
	})
	t.Run("shows only the test's interfaces", func(t *testing.T) { checkInterfaces(t, m) })
	t.Run("has the right time", func(t *testing.T) { checkClock(t, m) })
	t.Run("loads ip_vs on demand", func(t *testing.T) { checkAutoload(t, m) })
	t.Run("commands", func(t *testing.T) { checkCommands(t, m) })
	t.Run("files", func(t *testing.T) { checkFiles(t, m) })
	t.Run("power failure", func(t *testing.T) { checkPower(t, m) })
}

func checkInterfaces(t *testing.T, m *lab.Machine) {
	var names []string
	for line := range strings.Lines(run(t, m, "ip", "-o", "link")) {
		names = append(names, strings.TrimSuffix(strings.Fields(line)[1], ":"))
	}
	if diff := cmp.Diff([]string{"lo", "eth0"}, names); diff != "" {
		t.Errorf("interfaces (-want +got):\n%s", diff)
	}
	addresses := run(t, m, "ip", "-o", "addr", "show", "dev", "eth0")
	for _, want := range []string{"192.0.2.2/24", "2001:db8::2/64"} {
		if !strings.Contains(addresses, want) {
			t.Errorf("address %s is missing in:\n%s", want, addresses)
		}
	}
	if routes := run(t, m, "ip", "route"); strings.Contains(routes, "10.255") {
		t.Errorf("the lab's own access is seen in the routes:\n%s", routes)
	}
}

func checkClock(t *testing.T, m *lab.Machine) {
	before := time.Now().Add(-2 * time.Second)
	var seconds int64
	if _, err := fmt.Sscan(run(t, m, "date", "+%s"), &seconds); err != nil {
		t.Fatal(err)
	}
	if now := time.Unix(seconds, 0); now.Before(before) || now.After(time.Now().Add(2*time.Second)) {
		t.Errorf("the machine's clock shows %s, here it is %s", now, time.Now())
	}
}

func checkAutoload(t *testing.T, m *lab.Machine) {
	if modules := run(t, m, "cat", "/proc/modules"); strings.Contains(modules, "ip_vs") {
		t.Fatalf("ip_vs is loaded before anybody asked for it:\n%s", modules)
	}
	if table := run(t, m, "ipvsadm", "-Ln"); !strings.Contains(table, "IP Virtual Server") {
		t.Errorf("ipvsadm says: %s", table)
	}
	if modules := run(t, m, "cat", "/proc/modules"); !strings.Contains(modules, "ip_vs ") {
		t.Errorf("ip_vs is not loaded:\n%s", modules)
	}
}

func checkCommands(t *testing.T, h lab.Host) {
	cases := map[string]struct {
		script string
		want   lab.Result
	}{
		"output and status": {"echo out; echo err >&2; exit 7", lab.Result{Stdout: "out\n", Stderr: "err\n", ExitCode: 7}},
		"killed":            {"kill -9 $$", lab.Result{ExitCode: 137}},
		"background child":  {"sleep 60 & echo gone", lab.Result{Stdout: "gone\n"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := h.Run(t.Context(), "sh", "-c", tc.script)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := h.Run(t.Context(), "no-such-program"); err == nil {
		t.Error("a program that is not there was run")
	}
}

func checkFiles(t *testing.T, h lab.Host) {
	content := make([]byte, 50<<20)
	_, _ = rand.Read(content)
	begin := time.Now()
	if err := h.Put(t.Context(), "/tmp/deep/big", bytes.NewReader(content), 0o640); err != nil {
		t.Fatal(err)
	}
	sum := strings.Fields(run(t, h, "sha256sum", "/tmp/deep/big"))[0]
	if want := fmt.Sprintf("%x", sha256.Sum256(content)); sum != want {
		t.Errorf("in the host the file's digest is %s, here %s", sum, want)
	}
	if mode := run(t, h, "stat", "-c", "%a", "/tmp/deep/big"); mode != "640\n" {
		t.Errorf("mode is %s", mode)
	}
	got, err := h.Get(t.Context(), "/tmp/deep/big")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, content) {
		t.Error("the file came back changed")
	}
	t.Logf("50 MiB there, hashed, and back in %s", time.Since(begin))
	run(t, h, "rm", "/tmp/deep/big")
	if _, err := h.Get(t.Context(), "/tmp/deep/big"); err == nil {
		t.Error("a removed file was read")
	}
}

func checkPower(t *testing.T, m *lab.Machine) {
	put := func(path string) {
		if err := m.Put(t.Context(), path, strings.NewReader("kept"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("/var/lib/truepacs/state")
	put("/etc/state")
	run(t, m, "sync")
	sleeper, err := m.Start(t.Context(), lab.ProcessSpec{Argv: []string{"sleep", "1000"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.PowerOff(); err != nil {
		t.Fatal(err)
	}
	if _, err := sleeper.Wait(); err == nil {
		t.Error("a command's end is known though its host lost its power")
	}
	if _, err := m.Run(t.Context(), "true"); err == nil {
		t.Error("a machine without power ran a command")
	}
	if err := m.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := run(t, m, "cat", "/var/lib/truepacs/state"); got != "kept" {
		t.Errorf("the disk has %q", got)
	}
	if _, err := m.Get(t.Context(), "/etc/state"); err == nil {
		t.Error("memory survived a power failure")
	}
}

// TestProcess checks what a daemon's owner does: follow its output, signal it, give
// it input, lose it.
func TestProcess(t *testing.T) {
	l := newLab(t)
	host := namespace(t, l, "host")
	checkCommands(t, host)
	checkFiles(t, host)
	var output bytes.Buffer
	cat, err := host.Start(t.Context(), lab.ProcessSpec{
		Argv: []string{"sh", "-c", `read line; echo "$WHO said $line in $PWD"`}, Env: []string{"WHO=the test"}, Dir: "/usr",
		Stdin: strings.NewReader("hello\n"), Stdout: &output,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cat.Wait(); err != nil {
		t.Fatal(err)
	}
	if got, want := output.String(), "the test said hello in /usr\n"; got != want {
		t.Errorf("output is %q, want %q", got, want)
	}
	checkEnd(t, host)
}

func checkEnd(t *testing.T, host lab.Host) {
	ctx, cancel := context.WithCancel(t.Context())
	loop := []string{"sh", "-c", `trap "exit 3" TERM; while :; do sleep 0.01; done`}
	signalled, err := host.Start(ctx, lab.ProcessSpec{Argv: loop})
	if err != nil {
		t.Fatal(err)
	}
	abandoned, err := host.Start(ctx, lab.ProcessSpec{Argv: loop})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // the shell has to reach its trap
	if err := signalled.Signal(15); err != nil {
		t.Fatal(err)
	}
	if exit, err := signalled.Wait(); err != nil || exit.Code != 3 {
		t.Errorf("after SIGTERM: %+v, %v", exit, err)
	}
	cancel()
	if _, err := abandoned.Wait(); err == nil {
		t.Error("a command survived its context")
	}
	for i := 0; ; i++ {
		if result, err := host.Run(t.Context(), "kill", "-0", fmt.Sprint(abandoned.PID)); err != nil || result.ExitCode != 0 {
			return
		}
		if i == 200 {
			t.Fatal("an abandoned command still runs")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
