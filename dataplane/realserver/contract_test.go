package realserver_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/dataplane/realserver"
)

var errCrashed = errors.New("the program has died")

// host is a kernel with lo, tp0 and tp1 that writes a journal and can die before the n-th write.
type host struct {
	netif.Kernel
	realserver.Sysctls
	journal []string
	dieAt   int // 0: never
	path    string
}

func (h *host) write(format string, args ...any) error {
	h.journal = append(h.journal, fmt.Sprintf(format, args...))
	if h.dieAt > 0 && len(h.journal) >= h.dieAt {
		return errCrashed
	}
	return nil
}

func (h *host) AddAddress(a netif.Address) error {
	if err := h.write("add %s", a.Prefix); err != nil {
		return err
	}
	return h.Kernel.AddAddress(a)
}

func (h *host) RemoveAddress(a netif.Address) error {
	if err := h.write("remove %s", a.Prefix); err != nil {
		return err
	}
	return h.Kernel.RemoveAddress(a)
}

func (h *host) Set(index int, v realserver.Values) error {
	if err := h.write("set %s %d %d", h.name(index), v.ArpIgnore, v.ArpAnnounce); err != nil {
		return err
	}
	return h.Sysctls.Set(index, v)
}

func (h *host) link(keep func(netif.Link) bool) netif.Link {
	links, _ := h.Links()
	return links[slices.IndexFunc(links, keep)]
}

func (h *host) name(index int) string {
	return h.link(func(l netif.Link) bool { return l.Index == index }).Name
}

func (h *host) index(name string) int {
	return h.link(func(l netif.Link) bool { return l.Name == name }).Index
}

// put changes settings as an administrator would.
func (h *host) put(t *testing.T, name string, v realserver.Values) {
	t.Helper()
	if err := h.Sysctls.Set(h.index(name), v); err != nil {
		t.Fatal(err)
	}
}

func (h *host) driver() *realserver.Driver {
	return realserver.New(realserver.Config{Kernel: h, Sysctls: h, RecordPath: h.path})
}

func (h *host) mustSet(t *testing.T, all ...model.LoopbackVIP) {
	t.Helper()
	if err := h.driver().Set(t.Context(), all); err != nil {
		t.Fatal(err)
	}
}

// state is everything that the driver may change, as text.
func (h *host) state(t rapid.TB) string {
	var out []string
	for _, name := range []string{"tp0", "tp1"} {
		v, err := h.Get(h.index(name))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s %d/%d", name, v.ArpIgnore, v.ArpAnnounce))
	}
	addresses, err := h.Addresses()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if a.Index == h.index("lo") && !a.Prefix.Addr().IsLoopback() {
			out = append(out, a.Prefix.String())
			if a.Passive {
				out = append(out, "passive")
			}
		}
	}
	return strings.Join(out, " ")
}

func (h *host) wantState(t rapid.TB, want string) {
	t.Helper()
	if diff := cmp.Diff(want, h.state(t)); diff != "" {
		t.Fatalf("state (-want +got):\n%s", diff)
	}
}

func (h *host) wantJournal(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, h.journal); diff != "" {
		t.Fatalf("writes (-want +got):\n%s", diff)
	}
	h.journal = nil
}

func fakeHost(t *testing.T) *host {
	fake := &realserver.Fake{BootID: "first"}
	fake.AddLink(netif.Link{Name: "lo", Up: true, Loopback: true})
	fake.AddLink(netif.Link{Name: "tp0", Up: true, Kind: "veth", MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}})
	fake.AddLink(netif.Link{Name: "tp1", Up: true, Kind: "veth", MAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}})
	return &host{Kernel: fake, Sysctls: fake, path: filepath.Join(t.TempDir(), "record.json")}
}

func realHost(t *testing.T) *host {
	path := filepath.Join(t.TempDir(), "record.json")
	netnstest.Enter(t)
	netnstest.Veth(t, "tp0", "tp1")
	return &host{Kernel: netif.Rtnetlink{}, Sysctls: realserver.Rtnetlink{}, path: path}
}

func vip(address, name string) model.LoopbackVIP {
	return model.LoopbackVIP{Address: netip.MustParseAddr(address), Interface: name}
}

// TestContract runs each clause of the driver's contract against the fake and the kernel.
func TestContract(t *testing.T) {
	clauses := map[string]func(*testing.T, *host){
		"settings come before addresses": settingsFirst,
		"second call writes nothing":     secondCall,
		"settings go back last":          settingsBackLast,
		"one address of two goes":        oneOfTwoGoes,
		"good settings are left":         goodSettingsLeft,
		"others' changes are respected":  othersChanges,
		"undone settings are set again":  undoneSettings,
		"foreign addresses stay":         foreignStays,
		"bad items do not stop others":   badItems,
		"any crash is survived":          anyCrash,
		"damaged record is set aside":    damagedRecord,
		"IPv6 needs no settings":         needsNoSettings,
		"preferred IPv6 is mended":       mendsIPv6,
		"interfaces beside are silenced": silencesBeside,
	}
	for clause, check := range clauses {
		t.Run(clause+"/fake", func(t *testing.T) { check(t, fakeHost(t)) })
		t.Run(clause+"/kernel in pod", func(t *testing.T) { check(t, realHost(t)) })
	}
}

func settingsFirst(t *testing.T, h *host) {
	h.mustSet(t, vip("192.0.2.100", "tp0"))
	h.wantJournal(t, "set tp0 1 2", "add 192.0.2.100/32")
	h.wantState(t, "tp0 1/2 tp1 0/0 192.0.2.100/32")
}

func secondCall(t *testing.T, h *host) {
	all := []model.LoopbackVIP{vip("192.0.2.100", "tp0"), vip("192.0.2.101", "tp1"), vip("192.0.2.100", "tp0")}
	h.mustSet(t, all...)
	h.journal = nil
	before, _ := os.Stat(h.path)
	h.mustSet(t, all...)
	h.wantJournal(t)
	if after, _ := os.Stat(h.path); !os.SameFile(before, after) {
		t.Error("the record was written again")
	}
}

func settingsBackLast(t *testing.T, h *host) {
	h.put(t, "tp0", realserver.Values{ArpAnnounce: 1})
	h.mustSet(t, vip("192.0.2.100", "tp0"))
	h.journal = nil
	h.mustSet(t)
	h.wantJournal(t, "remove 192.0.2.100/32", "set tp0 0 1")
	h.wantState(t, "tp0 0/1 tp1 0/0")
	h.mustSet(t)
	h.wantJournal(t)
}

func oneOfTwoGoes(t *testing.T, h *host) {
	h.mustSet(t, vip("192.0.2.100", "tp0"), vip("192.0.2.101", "tp0"))
	h.journal = nil
	h.mustSet(t, vip("192.0.2.101", "tp0"))
	h.wantJournal(t, "remove 192.0.2.100/32")
	h.wantState(t, "tp0 1/2 tp1 0/0 192.0.2.101/32")
}

func goodSettingsLeft(t *testing.T, h *host) {
	h.put(t, "tp0", realserver.Values{ArpIgnore: 2, ArpAnnounce: 2})
	h.mustSet(t, vip("192.0.2.100", "tp0"))
	h.wantJournal(t, "add 192.0.2.100/32")
	h.mustSet(t)
	h.wantState(t, "tp0 2/2 tp1 0/0")
}

// othersChanges: a setting that somebody changed since is not taken back.
func othersChanges(t *testing.T, h *host) {
	h.mustSet(t, vip("192.0.2.100", "tp0"))
	h.put(t, "tp0", realserver.Values{ArpIgnore: 8, ArpAnnounce: 2})
	h.mustSet(t)
	h.wantState(t, "tp0 8/0 tp1 0/0")
}

func undoneSettings(t *testing.T, h *host) {
	h.mustSet(t, vip("192.0.2.100", "tp0"))
	h.put(t, "tp0", realserver.Values{ArpIgnore: 0, ArpAnnounce: 1})
	h.journal = nil
	h.mustSet(t, vip("192.0.2.100", "tp0"))
	h.wantJournal(t, "set tp0 1 2")
	h.mustSet(t)
	h.wantState(t, "tp0 0/1 tp1 0/0")
}

func foreignStays(t *testing.T, h *host) {
	for _, prefix := range []string{"192.0.2.100/32", "192.0.2.200/32"} {
		a := netif.Address{Index: h.index("lo"), Prefix: netip.MustParsePrefix(prefix)}
		if err := h.Kernel.AddAddress(a); err != nil {
			t.Fatal(err)
		}
	}
	h.mustSet(t, vip("192.0.2.100", "tp0"))
	h.wantJournal(t, "set tp0 1 2")
	h.mustSet(t)
	h.wantState(t, "tp0 0/0 tp1 0/0 192.0.2.100/32 192.0.2.200/32")
}

func badItems(t *testing.T, h *host) {
	err := h.driver().Set(t.Context(), []model.LoopbackVIP{
		vip("192.0.2.1", "absent"), vip("192.0.2.2", "lo"), vip("::ffff:192.0.2.1", "tp0"), vip("2001:db8::9", "absent"), vip("192.0.2.4", "tp0"),
		vip("192.0.2.5", "tp0"), vip("192.0.2.5", "absent"),
	})
	items, rest := model.ItemErrors(err)
	got := map[string]string{}
	for key, item := range items {
		got[key] = item.Reason
	}
	want := map[string]string{
		"192.0.2.1": netif.ReasonInterfaceNotFound, "192.0.2.2": netif.ReasonInterfaceNotFound,
		"192.0.2.5": netif.ReasonInterfaceNotFound, "::ffff:192.0.2.1": netif.ReasonKernelRefused,
		"2001:db8::9": netif.ReasonInterfaceNotFound,
	}
	if diff := cmp.Diff(want, got); diff != "" || rest != nil {
		t.Errorf("item errors (-want +got):\n%s\nrest: %v", diff, rest)
	}
	h.wantState(t, "tp0 1/2 tp1 0/0 192.0.2.4/32")
}

// anyCrash dies before each write in turn, going up and going down, and starts anew.
func anyCrash(t *testing.T, h *host) {
	all := []model.LoopbackVIP{vip("192.0.2.100", "tp0"), vip("192.0.2.101", "tp1")}
	const writes = 4 // two settings, two addresses, both ways
	for n := 1; n <= writes; n++ {
		h.journal, h.dieAt = nil, n
		if err := h.driver().Set(t.Context(), all); !errors.Is(err, errCrashed) {
			t.Fatalf("going up, write %d: %v", n, err)
		}
		h.journal, h.dieAt = nil, 0
		h.mustSet(t, all...)
		h.wantState(t, "tp0 1/2 tp1 1/2 192.0.2.100/32 192.0.2.101/32")
		h.journal, h.dieAt = nil, n
		if err := h.driver().Set(t.Context(), nil); !errors.Is(err, errCrashed) {
			t.Fatalf("going down, write %d: %v", n, err)
		}
		h.journal, h.dieAt = nil, 0
		h.mustSet(t)
		h.wantState(t, "tp0 0/0 tp1 0/0")
	}
}

func damagedRecord(t *testing.T, h *host) {
	if err := os.WriteFile(h.path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.mustSet(t, vip("192.0.2.100", "tp0"))
	h.wantState(t, "tp0 1/2 tp1 0/0 192.0.2.100/32")
	if b, err := os.ReadFile(h.path + ".damaged"); err != nil || string(b) != "{" {
		t.Errorf("set aside: %q, %v", b, err)
	}
}

func needsNoSettings(t *testing.T, h *host) {
	h.mustSet(t, vip("2001:db8::100", "tp0"))
	h.wantJournal(t, "add 2001:db8::100/128")
	h.wantState(t, "tp0 0/0 tp1 0/0 2001:db8::100/128 passive")
	h.mustSet(t, vip("2001:db8::100", "tp0"))
	h.wantJournal(t)
	h.mustSet(t)
	h.wantJournal(t, "remove 2001:db8::100/128")
	h.wantState(t, "tp0 0/0 tp1 0/0")
}

func mendsIPv6(t *testing.T, h *host) {
	h.mustSet(t, vip("2001:db8::100", "tp0"))
	all, _ := h.Addresses()
	at := slices.IndexFunc(all, func(a netif.Address) bool { return a.Prefix.Addr() == netip.MustParseAddr("2001:db8::100") })
	all[at].Passive = false
	if err := h.Kernel.ChangeAddress(all[at]); err != nil {
		t.Fatal(err)
	}
	h.wantState(t, "tp0 0/0 tp1 0/0 2001:db8::100/128")
	h.mustSet(t, vip("2001:db8::100", "tp0"))
	h.wantState(t, "tp0 0/0 tp1 0/0 2001:db8::100/128 passive")
}

// silencesBeside: tp1 has an address of the network that tp0 faces; only while that is so.
func silencesBeside(t *testing.T, h *host) {
	for name, prefix := range map[string]string{"tp0": "192.0.2.11/24", "tp1": "192.0.2.12/24"} {
		if err := h.Kernel.AddAddress(netif.Address{Index: h.index(name), Prefix: netip.MustParsePrefix(prefix)}); err != nil {
			t.Fatal(err)
		}
	}
	h.mustSet(t, vip("192.0.2.100", "tp0"))
	h.wantJournal(t, "set tp0 1 2", "set tp1 1 2", "add 192.0.2.100/32")
	h.mustSet(t, vip("192.0.2.100", "tp0"))
	h.wantJournal(t)
	h.mustSet(t)
	h.wantJournal(t, "remove 192.0.2.100/32", "set tp0 0 0", "set tp1 0 0")
}
