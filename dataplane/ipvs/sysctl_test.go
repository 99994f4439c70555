package ipvs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/ipvstest"
	"github.com/truepacs/balancer/dataplane/model"
)

func sysctls(t *testing.T, values ...string) (dir string, read func() map[string]string) {
	t.Helper()
	dir = t.TempDir()
	for i := 0; i < len(values); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, values[i]), []byte(values[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, func() map[string]string {
		all := map[string]string{}
		for i := 0; i < len(values); i += 2 {
			b, _ := os.ReadFile(filepath.Join(dir, values[i]))
			all[values[i]] = strings.TrimSpace(string(b))
		}
		return all
	}
}

// fresh are the values of a kernel that was just started.
func fresh() []string {
	return []string{
		"expire_quiescent_template", "0\n", "expire_nodest_conn", "0\n", "conn_reuse_mode", "1\n", "sloppy_tcp", "0\n",
		"schedule_icmp", "0\n", "conntrack", "0\n", "pmtu_disc", "1\n", "other", "7",
	}
}

func TestSysctls(t *testing.T) {
	snat, hash, fallback := ipvstest.Web(), ipvstest.Web(), ipvstest.Web()
	snat.Forwarding = model.SNAT
	hash.Scheduler = model.MaglevHash
	fallback.Servers[0].Forwarding = model.NAT
	always := "expire_quiescent_template 0 1,expire_nodest_conn 0 1,conn_reuse_mode 1 3"
	tests := map[string]struct {
		services []model.VirtualService
		foreign  bool
		want     []string // after each call
	}{
		"direct routing": {[]model.VirtualService{ipvstest.Web()}, false, []string{always + ",schedule_icmp 0 1", "", ""}},
		"SNAT":           {[]model.VirtualService{snat}, false, []string{always + ",schedule_icmp 0 1,conntrack 0 1", "", "conntrack 1 0"}},
		"NAT of one":     {[]model.VirtualService{fallback}, false, []string{always + ",schedule_icmp 0 1,conntrack 0 1", "", "conntrack 1 0"}},
		"hash":           {[]model.VirtualService{hash}, false, []string{always + ",sloppy_tcp 0 1,schedule_icmp 0 1", "", "sloppy_tcp 1 0"}},
		"beside others":  {[]model.VirtualService{snat, hash}, true, []string{always + ",schedule_icmp 0 1,conntrack 0 1", "", ""}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			dir, _ := sysctls(t, fresh()...)
			fake := &ipvs.Fake{}
			if tc.foreign {
				_ = fake.Apply(t.Context(), leftover(7))
			}
			driver := ipvs.New(ipvs.Config{Kernel: fake, SysctlDir: dir})
			for call, services := range [][]model.VirtualService{tc.services[:1], tc.services[:1], nil} {
				if err := driver.Set(t.Context(), services); err != nil {
					t.Fatal(err)
				}
				changed, err := driver.SetSysctls(t.Context())
				var got []string
				for _, c := range changed {
					got = append(got, c.Name+" "+c.Old+" "+c.New)
				}
				if diff := cmp.Diff(tc.want[call], strings.Join(got, ",")); diff != "" || err != nil {
					t.Errorf("call %d changed (-want +got), %v:\n%s", call, err, diff)
				}
			}
		})
	}
}

func TestSysctlsThatAreAsNeededAreNotWritten(t *testing.T) {
	dir, read := sysctls(t, "expire_quiescent_template", "1", "expire_nodest_conn", "1", "conn_reuse_mode", "7", "sloppy_tcp", "0",
		"schedule_icmp", "1", "conntrack", "0", "pmtu_disc", "1")
	before := read()
	changed, err := ipvs.New(ipvs.Config{Kernel: &ipvs.Fake{}, SysctlDir: dir}).SetSysctls(t.Context())
	if diff := cmp.Diff(before, read()); diff != "" || changed != nil || err != nil {
		t.Errorf("changed %v, %v (-before +after):\n%s", changed, err, diff)
	}
}

// TestSysctlsThatTheKernelLacks are missed only where they are needed.
func TestSysctlsThatTheKernelLacks(t *testing.T) {
	dir, _ := sysctls(t, fresh()...)
	if err := os.Remove(filepath.Join(dir, "conntrack")); err != nil {
		t.Fatal(err)
	}
	driver := ipvs.New(ipvs.Config{Kernel: &ipvs.Fake{}, SysctlDir: dir})
	if _, err := driver.SetSysctls(t.Context()); err != nil {
		t.Error(err)
	}
	s := ipvstest.Web()
	s.Forwarding = model.SNAT
	if err := driver.Set(t.Context(), []model.VirtualService{s}); err != nil {
		t.Fatal(err)
	}
	if _, err := driver.SetSysctls(t.Context()); err == nil || !strings.Contains(err.Error(), "net.ipv4.vs.conntrack") {
		t.Errorf("got %v", err)
	}
}

func TestSysctlsOfNoIPVS(t *testing.T) {
	dir, _ := sysctls(t, "conn_reuse_mode", "0")
	got, err := ipvs.New(ipvs.Config{Kernel: &ipvs.Fake{}, SysctlDir: dir}).SetSysctls(t.Context())
	if err == nil || !strings.Contains(err.Error(), "expire_quiescent_template") || !strings.Contains(err.Error(), "modprobe ip_vs") {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]ipvs.Setting{{Name: "conn_reuse_mode", Old: "0", New: "3"}}, got); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(dir, "expire_quiescent_template")); err == nil {
		t.Error("a file was made")
	}
}
