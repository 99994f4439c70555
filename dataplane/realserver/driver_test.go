package realserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif"
	"github.com/truepacs/balancer/dataplane/realserver"
)

func TestHostWideSettingsThatOverrule(t *testing.T) {
	tests := map[string]struct {
		all  realserver.Values
		want string // of the error, empty: none
	}{
		"none":             {realserver.Values{}, ""},
		"same":             {realserver.Values{ArpIgnore: 1, ArpAnnounce: 2}, ""},
		"silent":           {realserver.Values{ArpIgnore: 8}, ""},
		"reserved values":  {realserver.Values{ArpIgnore: 5}, "all.arp_ignore is 5"},
		"unknown announce": {realserver.Values{ArpAnnounce: 3}, "all.arp_announce is 3"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h := fakeHost(t)
			h.Sysctls.(*realserver.Fake).HostWide = tc.all
			err := h.driver().Set(t.Context(), []model.LoopbackVIP{vip("192.0.2.100", "tp0")})
			if tc.want == "" && err == nil {
				return
			}
			if tc.want == "" || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
			h.wantState(t, "tp0 0/0 tp1 0/0")
		})
	}
}

func TestRefusedSettingKeepsTheAddressAway(t *testing.T) {
	h := fakeHost(t)
	h.Sysctls.(*realserver.Fake).RefuseSet = func(index int, _ realserver.Values) error {
		if index == h.index("tp0") {
			return syscall.EPERM
		}
		return nil
	}
	err := h.driver().Set(t.Context(), []model.LoopbackVIP{vip("192.0.2.100", "tp0"), vip("192.0.2.101", "tp1")})
	items, rest := model.ItemErrors(err)
	item := items["192.0.2.100"]
	if item == nil || rest != nil || item.Reason != netif.ReasonKernelRefused || !strings.Contains(item.Error(), "NET_ADMIN") {
		t.Errorf("got %v", err)
	}
	h.wantState(t, "tp0 0/0 tp1 1/2 192.0.2.101/32")
}

func TestSilentlyIgnoredSettingIsNoticed(t *testing.T) {
	h := fakeHost(t)
	h.Sysctls = deaf{h.Sysctls}
	err := h.driver().Set(t.Context(), []model.LoopbackVIP{vip("192.0.2.100", "tp0")})
	if err == nil || !strings.Contains(err.Error(), "another program undoes them") {
		t.Errorf("got %v", err)
	}
	h.wantState(t, "tp0 0/0 tp1 0/0")
}

// deaf is a kernel that accepts settings and keeps the old ones.
type deaf struct{ realserver.Sysctls }

func (deaf) Set(int, realserver.Values) error { return nil }

func TestNoRecordNoChange(t *testing.T) {
	h := fakeHost(t)
	h.path = filepath.Join(t.TempDir(), "absent", "record.json")
	err := h.driver().Set(t.Context(), []model.LoopbackVIP{vip("192.0.2.100", "tp0")})
	if err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("got %v", err)
	}
	h.wantState(t, "tp0 0/0 tp1 0/0")
}

func TestRecordIsOnDiskBeforeTheChange(t *testing.T) {
	h := fakeHost(t)
	fake := h.Sysctls.(*realserver.Fake)
	fake.RefuseSet = func(int, realserver.Values) error {
		b, err := os.ReadFile(h.path)
		if err != nil || !strings.Contains(string(b), `"tp0"`) {
			t.Errorf("at the time of the change the record is %q, %v", b, err)
		}
		return nil
	}
	h.mustSet(t, vip("192.0.2.100", "tp0"))
	if fake.Sets() != 1 {
		t.Errorf("%d changes, want 1", fake.Sets())
	}
}

// TestRebootForgets: after a reboot settings are what the system's configuration says.
func TestRebootForgets(t *testing.T) {
	h := fakeHost(t)
	h.mustSet(t, vip("192.0.2.100", "tp0"))
	h.Sysctls.(*realserver.Fake).BootID = "second"
	h.mustSet(t)
	h.wantState(t, "tp0 1/2 tp1 0/0")
}

func TestVanishedInterfaceIsForgotten(t *testing.T) {
	h := fakeHost(t)
	h.mustSet(t, vip("192.0.2.100", "tp0"))
	h.Kernel.(*realserver.Fake).ChangeLink(netif.Link{Name: "renamed", Index: h.index("tp0")})
	h.mustSet(t)
	if b, err := os.ReadFile(h.path); err != nil || strings.Contains(string(b), "tp0") {
		t.Errorf("record %q, %v", b, err)
	}
}

func TestFailedRemovalKeepsTheSettings(t *testing.T) {
	h := fakeHost(t)
	h.mustSet(t, vip("192.0.2.100", "tp0"))
	h.Kernel.(*realserver.Fake).Refuse = func(string, netif.Address) error { return syscall.EPERM }
	if err := h.driver().Set(t.Context(), nil); err == nil {
		t.Error("no error")
	}
	h.wantState(t, "tp0 1/2 tp1 0/0 192.0.2.100/32")
}

func TestEndedContextWritesNothing(t *testing.T) {
	h := fakeHost(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.driver().Set(ctx, []model.LoopbackVIP{vip("192.0.2.100", "tp0")}); err == nil {
		t.Error("no error")
	}
	h.wantJournal(t)
}

// TestAnyStateConvergesInOneCall starts from any settings and addresses.
func TestAnyStateConvergesInOneCall(t *testing.T) {
	folder := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		h := fakeHost(t)
		h.path = filepath.Join(folder, "record.json")
		_ = os.Remove(h.path)
		initial := map[string]realserver.Values{}
		for _, name := range []string{"tp0", "tp1"} {
			v := realserver.Values{ArpIgnore: rapid.IntRange(0, 8).Draw(rt, "ignore"), ArpAnnounce: rapid.IntRange(0, 2).Draw(rt, "announce")}
			initial[name] = v
			if err := h.Sysctls.Set(h.index(name), v); err != nil {
				rt.Fatal(err)
			}
		}
		before := h.state(rt)
		item := rapid.Custom(func(rt *rapid.T) model.LoopbackVIP {
			return vip(fmt.Sprintf(rapid.SampledFrom([]string{"192.0.2.%d", "2001:db8::%d"}).Draw(rt, "family"), rapid.IntRange(1, 4).Draw(rt, "octet")), rapid.SampledFrom([]string{"tp0", "tp1"}).Draw(rt, "on"))
		})
		for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
			all := rapid.SliceOfN(item, 0, 5).Draw(rt, "wanted")
			if err := h.driver().Set(rt.Context(), all); err != nil {
				rt.Fatal(err)
			}
			h.wantState(rt, expected(initial, all, h.state(rt)))
		}
		if err := h.driver().Set(rt.Context(), nil); err != nil {
			rt.Fatal(err)
		}
		h.wantState(rt, before)
	})
}

// expected is the state as the contract says it; addresses in the order of got.
func expected(initial map[string]realserver.Values, all []model.LoopbackVIP, got string) string {
	addresses, faced := map[string]bool{}, map[string]bool{}
	for _, v := range all {
		if v.Address.Is6() {
			addresses[v.Address.String()+"/128 passive"] = true
			continue
		}
		addresses[v.Address.String()+"/32"], faced[v.Interface] = true, true
	}
	var out []string
	for _, name := range []string{"tp0", "tp1"} {
		v := initial[name]
		if faced[name] {
			v.ArpAnnounce = 2
			if v.ArpIgnore == 0 || v.ArpIgnore >= 4 && v.ArpIgnore <= 7 {
				v.ArpIgnore = 1
			}
		}
		out = append(out, fmt.Sprintf("%s %d/%d", name, v.ArpIgnore, v.ArpAnnounce))
	}
	var rest []string
	for a := range addresses {
		rest = append(rest, a)
	}
	sort.Slice(rest, func(i, j int) bool { return strings.Index(got, rest[i]) < strings.Index(got, rest[j]) })
	return strings.Join(append(out, rest...), " ")
}

// TestRecordsOfOtherVersions: this program goes on from the file of the version before, which
// knew facing interfaces only, and that version reads the file of this one.
func TestRecordsOfOtherVersions(t *testing.T) {
	h := fakeHost(t)
	before := `{"version":1,"boot":"first","interfaces":{"tp0":{"before":{"arpIgnore":0,"arpAnnounce":1},"set":{"arpIgnore":1,"arpAnnounce":2}}}}`
	if err := os.WriteFile(h.path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	h.put(t, "tp0", realserver.Values{ArpIgnore: 1, ArpAnnounce: 2})
	h.mustSet(t)
	h.wantState(t, "tp0 0/1 tp1 0/0")
	h.mustSet(t, vip("192.0.2.100", "tp0"), vip("2001:db8::100", "tp0"))
	b, err := os.ReadFile(h.path)
	if err != nil {
		t.Fatal(err)
	}
	var old struct {
		Version    int    `json:"version"`
		Boot       string `json:"boot"`
		Interfaces map[string]struct {
			Before realserver.Values `json:"before"`
			Set    realserver.Values `json:"set"`
		} `json:"interfaces"`
	}
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&old); err != nil || old.Version != 1 || old.Interfaces["tp0"].Before.ArpAnnounce != 1 {
		t.Errorf("read %+v, %v of %s", old, err, b)
	}
}

// TestInterfaceBesideThatCannotBeSilenced keeps IPv4 addresses away, unless it cannot speak.
func TestInterfaceBesideThatCannotBeSilenced(t *testing.T) {
	tests := map[string]struct {
		errno error
		want  string
	}{
		"refused": {syscall.EPERM, "tp0 1/2 tp1 0/0 2001:db8::100/128 passive"},
		"gone":    {syscall.ENODEV, "tp0 1/2 tp1 0/0 192.0.2.100/32 2001:db8::100/128 passive"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h := fakeHost(t)
			fake := h.Kernel.(*realserver.Fake)
			fake.ChangeLink(netif.Link{Name: "tp1", Index: h.index("tp1"), MAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}})
			fake.RefuseSet = func(index int, _ realserver.Values) error {
				if index == h.index("tp1") {
					return tc.errno
				}
				return nil
			}
			err := h.driver().Set(t.Context(), []model.LoopbackVIP{vip("192.0.2.100", "tp0"), vip("2001:db8::100", "tp0")})
			if refused := tc.errno == syscall.EPERM; (err != nil) != refused {
				t.Errorf("got %v", err)
			}
			h.wantState(t, tc.want)
		})
	}
}
