package ipvs_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/ipvstest"
	"github.com/truepacs/balancer/dataplane/model"
)

// settingsHost is a host with IPVS in memory and its settings in a folder.
type settingsHost struct {
	*ipvs.Fake
	dir, record string
}

func newSettingsHost(t *testing.T) settingsHost {
	return settingsHost{&ipvs.Fake{}, ipvstest.Sysctls(t), filepath.Join(t.TempDir(), "ipvs.json")}
}

// driver is one that was just started.
func (h settingsHost) driver() *ipvs.Driver {
	return ipvs.New(ipvs.Config{Kernel: h.Fake, SysctlDir: h.dir, RecordPath: h.record, Boot: "now"})
}

func (h settingsHost) set(t *testing.T, d *ipvs.Driver, timeouts model.IPVSTimeouts, all ...model.VirtualService) {
	t.Helper()
	if err := errors.Join(d.Set(t.Context(), all), d.SetSettings(t.Context(), timeouts)); err != nil {
		t.Fatal(err)
	}
}

// put changes a setting as an administrator does.
func (h settingsHost) put(t *testing.T, name, value string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
}

// settings are all, as text.
func (h settingsHost) settings(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	files, err := os.ReadDir(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(filepath.Join(h.dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[file.Name()] = strings.TrimSpace(string(b))
	}
	now, err := h.Timeouts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all["tcp"], all["fin"], all["udp"] = now.TCP.String(), now.TCPFin.String(), now.UDP.String()
	return all
}

// want compares what differs from before.
func (h settingsHost) want(t *testing.T, before map[string]string, changed ...string) {
	t.Helper()
	want, got := map[string]string{}, map[string]string{}
	for i := 0; i < len(changed); i += 2 {
		want[changed[i]] = changed[i+1]
	}
	for name, value := range h.settings(t) {
		if value != before[name] {
			got[name] = value
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
}

// direct is what every service needs.
func direct(more ...string) []string {
	return append([]string{"expire_quiescent_template", "1", "expire_nodest_conn", "1", "conn_reuse_mode", "3", "schedule_icmp", "1"}, more...)
}

func TestSettingsComeAndGoWithServices(t *testing.T) {
	snat, hash, fallback := ipvstest.Web(), ipvstest.Web(), ipvstest.Web()
	snat.Forwarding = model.SNAT
	hash.Scheduler = model.MaglevHash
	fallback.Servers[0].Forwarding = model.NAT
	for name, tc := range map[string]struct {
		service  model.VirtualService
		timeouts model.IPVSTimeouts
		want     []string
	}{
		"direct routing": {ipvstest.Web(), model.IPVSTimeouts{}, direct()},
		"SNAT":           {snat, model.IPVSTimeouts{}, direct("conntrack", "1")},
		"NAT of one":     {fallback, model.IPVSTimeouts{}, direct("conntrack", "1")},
		"hash":           {hash, model.IPVSTimeouts{}, direct("sloppy_tcp", "1")},
		"timeouts":       {ipvstest.Web(), model.IPVSTimeouts{TCP: time.Hour, UDP: 300 * time.Millisecond}, direct("tcp", "1h0m0s", "udp", "1s")},
	} {
		t.Run(name, func(t *testing.T) {
			h := newSettingsHost(t)
			before := h.settings(t)
			for range 2 { // after a restart, too
				h.set(t, h.driver(), tc.timeouts, tc.service)
				h.want(t, before, tc.want...)
			}
			h.set(t, h.driver(), model.IPVSTimeouts{}, ipvstest.Web())
			h.want(t, before, direct()...)
			h.set(t, h.driver(), tc.timeouts)
			h.want(t, before)
		})
	}
}

// TestSettingsOfTheAdministratorStay: those that were as needed before, and those changed meanwhile.
func TestSettingsOfTheAdministratorStay(t *testing.T) {
	snat := ipvstest.Web()
	snat.Forwarding = model.SNAT
	h := newSettingsHost(t)
	h.put(t, "conntrack", "1")
	h.put(t, "conn_reuse_mode", "7")
	before := h.settings(t)
	d := h.driver()
	h.set(t, d, model.IPVSTimeouts{}, ipvstest.Web())
	h.want(t, before, "expire_quiescent_template", "1", "expire_nodest_conn", "1", "schedule_icmp", "1")
	h.set(t, d, model.IPVSTimeouts{}, snat)
	h.set(t, d, model.IPVSTimeouts{}, ipvstest.Web())
	h.put(t, "schedule_icmp", "0")
	h.set(t, d, model.IPVSTimeouts{})
	h.want(t, before)
	h.set(t, d, model.IPVSTimeouts{}, snat)
	h.put(t, "expire_nodest_conn", "5")
	h.set(t, d, model.IPVSTimeouts{})
	h.want(t, before, "expire_nodest_conn", "5")
}

// TestSettingsStayBesideOthers, who may need them by now; also when the kernel could not be read since.
func TestSettingsStayBesideOthers(t *testing.T) {
	snat := ipvstest.Web()
	snat.Forwarding = model.SNAT
	h := newSettingsHost(t)
	before := h.settings(t)
	d := h.driver()
	h.set(t, d, model.IPVSTimeouts{TCP: time.Hour}, snat)
	if err := h.Apply(t.Context(), leftover(7))[0]; err != nil {
		t.Fatal(err)
	}
	all := direct("conntrack", "1", "tcp", "1h0m0s")
	h.set(t, d, model.IPVSTimeouts{}, ipvstest.Web())
	h.want(t, before, all...)
	h.Missing = true
	if err := d.Set(t.Context(), []model.VirtualService{ipvstest.Web()}); !errors.Is(err, ipvs.ErrUnreadable) {
		t.Fatalf("IPVS could not be read: %v", err)
	}
	h.Missing = false
	if err := d.SetSettings(t.Context(), model.IPVSTimeouts{}); err != nil {
		t.Fatal(err)
	}
	h.want(t, before, all...)
	h.set(t, d, model.IPVSTimeouts{})
	h.want(t, before, all...)
	if got := d.Held(); got != len(all)/2 {
		t.Errorf("%d settings are said to be kept, want %d", got, len(all)/2)
	}
	gone := leftover(7)
	gone[0].Command = genl.DelService
	if err := h.Apply(t.Context(), gone)[0]; err != nil {
		t.Fatal(err)
	}
	d = h.driver()
	h.set(t, d, model.IPVSTimeouts{})
	h.want(t, before)
	if got := d.Held(); got != 0 {
		t.Errorf("%d settings are said to be kept", got)
	}
}

// TestAListThatLacksOthersIsNotBelieved: the table shows them, which is looked at although nothing is to
// be written.
func TestAListThatLacksOthersIsNotBelieved(t *testing.T) {
	h := newSettingsHost(t)
	before := h.settings(t)
	h.set(t, h.driver(), model.IPVSTimeouts{}, ipvstest.Web())
	gone := genl.Change{Command: genl.DelService, Service: genl.Service{ServiceID: genl.ByMark(ipvstest.Web().Mark, false)}}
	if err := errors.Join(h.Apply(t.Context(), append(leftover(7), gone))...); err != nil {
		t.Fatal(err)
	}
	h.Unlisted = func(id genl.ServiceID) bool { return id.Mark == 7 }
	h.set(t, h.driver(), model.IPVSTimeouts{})
	h.want(t, before, direct()...)
}

// TestSettingsOfAModuleThatIsGone went with it.
func TestSettingsOfAModuleThatIsGone(t *testing.T) {
	h := newSettingsHost(t)
	h.set(t, h.driver(), model.IPVSTimeouts{TCP: time.Hour}, ipvstest.Web())
	h.Missing = true
	if err := os.Rename(h.dir, h.dir+".gone"); err != nil {
		t.Fatal(err)
	}
	h.set(t, h.driver(), model.IPVSTimeouts{})
	if b, err := os.ReadFile(h.record); err != nil || strings.Contains(string(b), "path") {
		t.Errorf("still noted: %s, %v", b, err)
	}
}

// TestSettingsThatTheKernelLacks are missed only where they are needed.
func TestSettingsThatTheKernelLacks(t *testing.T) {
	h := newSettingsHost(t)
	if err := os.Remove(filepath.Join(h.dir, "conntrack")); err != nil {
		t.Fatal(err)
	}
	d := h.driver()
	h.set(t, d, model.IPVSTimeouts{}, ipvstest.Web())
	s := ipvstest.Web()
	s.Forwarding = model.SNAT
	if err := d.Set(t.Context(), []model.VirtualService{s}); err != nil {
		t.Fatal(err)
	}
	if err := d.SetSettings(t.Context(), model.IPVSTimeouts{}); err == nil || !strings.Contains(err.Error(), "net.ipv4.vs.conntrack") {
		t.Errorf("got %v", err)
	}
}

func TestOneSettingThatFailsDoesNotStopOthers(t *testing.T) {
	h := newSettingsHost(t)
	if err := os.Remove(filepath.Join(h.dir, "expire_quiescent_template")); err != nil {
		t.Fatal(err)
	}
	before := h.settings(t)
	d := h.driver()
	if err := d.Set(t.Context(), []model.VirtualService{ipvstest.Web()}); err != nil {
		t.Fatal(err)
	}
	err := d.SetSettings(t.Context(), model.IPVSTimeouts{TCP: time.Hour})
	if err == nil || !strings.Contains(err.Error(), "expire_quiescent_template") || !strings.Contains(err.Error(), "modprobe ip_vs") {
		t.Errorf("got %v", err)
	}
	h.want(t, before, direct("tcp", "1h0m0s")[2:]...)
}

// deaf is a kernel that refuses timeouts.
type deaf struct{ ipvs.Kernel }

func (deaf) SetTimeouts(context.Context, genl.Timeouts) error { return os.ErrPermission }

func TestTimeoutsThatAreRefusedDoNotStopSettings(t *testing.T) {
	h := newSettingsHost(t)
	before := h.settings(t)
	d := ipvs.New(ipvs.Config{Kernel: deaf{h.Fake}, SysctlDir: h.dir})
	if err := d.Set(t.Context(), []model.VirtualService{ipvstest.Web()}); err != nil {
		t.Fatal(err)
	}
	if err := d.SetSettings(t.Context(), model.IPVSTimeouts{TCP: time.Hour}); err == nil || !strings.Contains(err.Error(), "timeout of tcp") {
		t.Errorf("got %v", err)
	}
	h.want(t, before, direct()...)
}
