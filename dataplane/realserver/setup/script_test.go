package setup_test

import (
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/realserver/setup"
)

var update = flag.Bool("update", false, "write the golden files anew")

func virtual(address string, ports ...uint16) setup.VIP {
	v := setup.VIP{Address: netip.MustParseAddr(address)}
	for _, p := range ports {
		v.Ports = append(v.Ports, setup.Ports{Protocol: model.TCP, First: p})
	}
	return v
}

func specs() map[string]setup.Spec {
	ranged := virtual("192.0.2.101", 11112, 104)
	ranged.Ports = append(ranged.Ports, setup.Ports{Protocol: model.TCP, First: 2000, Last: 2010}, setup.Ports{Protocol: model.UDP, First: 514})
	return map[string]setup.Spec{
		"loopback": {VIPs: []setup.VIP{virtual("192.0.2.100", 104, 11112), virtual("2001:db8::100", 104), ranged}},
		"redirect": {VIPs: []setup.VIP{virtual("192.0.2.100", 104, 11112), virtual("2001:db8::100", 104)}, Method: setup.Redirect},
		"tunnel":   {VIPs: []setup.VIP{virtual("192.0.2.100", 104), virtual("2001:db8::100", 104)}, Method: setup.Tunnel, Interfaces: []string{"eth0", "eth1"}, MTU: 1400},
	}
}

// TestGolden compares whole scripts with the files in testdata.
func TestGolden(t *testing.T) {
	all := map[string]setup.OS{"loopback": setup.Linux, "redirect": setup.Linux, "tunnel": setup.Linux}
	for name, system := range all {
		compareGolden(t, name+".sh", system, specs()[name])
	}
	compareGolden(t, "loopback.ps1", setup.Windows, specs()["loopback"])
}

func compareGolden(t *testing.T, file string, system setup.OS, spec setup.Spec) {
	t.Helper()
	got, err := setup.Script(system, spec)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got); go test -update writes it anew:\n%s", file, diff)
	}
}

// TestShellcheck has shellcheck and dash as judges of the Linux scripts.
func TestShellcheck(t *testing.T) {
	removal, err := setup.Removal(setup.Linux)
	if err != nil {
		t.Fatal(err)
	}
	scripts := map[string]string{"removal": removal}
	for name, spec := range specs() {
		if scripts[name], err = setup.Script(setup.Linux, spec); err != nil {
			t.Fatal(err)
		}
	}
	for name, script := range scripts {
		for _, argv := range [][]string{{"shellcheck", "-s", "sh", "-"}, {"dash", "-n"}} {
			cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
			cmd.Stdin = strings.NewReader(script)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v\n%s", name, argv[0], err, out)
			}
		}
	}
}

func TestRemovalRefuses(t *testing.T) {
	if got, err := setup.Removal("plan9"); err == nil || got != "" {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestScriptRefuses(t *testing.T) {
	one := []setup.VIP{virtual("192.0.2.100", 104)}
	tests := map[string]struct {
		system setup.OS
		spec   setup.Spec
		want   string
	}{
		"system":             {"plan9", setup.Spec{VIPs: one}, "linux or windows"},
		"no address":         {setup.Linux, setup.Spec{}, "at least one"},
		"no port":            {setup.Linux, setup.Spec{VIPs: []setup.VIP{virtual("192.0.2.100")}}, "no port"},
		"port 0":             {setup.Linux, setup.Spec{VIPs: []setup.VIP{virtual("192.0.2.100", 0)}}, "1 to 65535"},
		"loopback address":   {setup.Linux, setup.Spec{VIPs: []setup.VIP{virtual("127.0.0.1", 104)}}, "no virtual IP address"},
		"zone":               {setup.Linux, setup.Spec{VIPs: []setup.VIP{virtual("2001:db8::1%x';reboot;'", 104)}}, "no virtual IP address"},
		"quote in interface": {setup.Linux, setup.Spec{VIPs: one, Interfaces: []string{"eth0';reboot;'"}}, "interface names"},
		"newline":            {setup.Windows, setup.Spec{VIPs: one, Interfaces: []string{"eth0\nreboot"}}, "interface names"},
		"space on Linux":     {setup.Linux, setup.Spec{VIPs: one, Interfaces: []string{"eth0 eth1"}}, "interface names"},
		"method":             {setup.Linux, setup.Spec{VIPs: one, Method: "Magic"}, "Loopback, Redirect or Tunnel"},
		"Windows tunnel":     {setup.Windows, setup.Spec{VIPs: one, Method: setup.Tunnel}, "Windows"},
		"twice":              {setup.Linux, setup.Spec{VIPs: append(one, one...)}, "twice"},
		"MTU":                {setup.Linux, setup.Spec{VIPs: one, Method: setup.Tunnel, MTU: 100}, "576"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := setup.Script(tc.system, tc.spec); err == nil || got != "" || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %d bytes, %v, want %q", len(got), err, tc.want)
			}
		})
	}
}

// TestWindowsBlocksTheOtherPorts: all ports but the declared ones, in ranges.
func TestWindowsBlocksTheOtherPorts(t *testing.T) {
	v := virtual("192.0.2.100", 65535, 104, 1, 105)
	v.Ports = append(v.Ports, setup.Ports{Protocol: model.TCP, First: 100, Last: 110})
	got, err := setup.Script(setup.Windows, setup.Spec{VIPs: []setup.VIP{v}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Action = 'Block'; Protocol = 'TCP'; Ports = @('2-99', '111-65534')", "Action = 'Block'; Protocol = 'UDP'; Ports = @('1-65535')"} {
		if !strings.Contains(got, want) {
			t.Errorf("the script lacks %s", want)
		}
	}
}
