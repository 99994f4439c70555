package netif_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif"
)

func TestErrorsSayWhatToDo(t *testing.T) {
	tests := map[string]struct {
		errno      error
		wantReason string
		want       string
	}{
		"no right":    {syscall.EPERM, netif.ReasonKernelRefused, "NET_ADMIN"},
		"gone":        {syscall.ENODEV, netif.ReasonInterfaceNotFound, "virtualIPs[].interfaces"},
		"no memory":   {syscall.ENOBUFS, netif.ReasonKernelRefused, "out of memory"},
		"no family":   {syscall.EAFNOSUPPORT, netif.ReasonKernelRefused, "address family"},
		"anything":    {syscall.EINVAL, netif.ReasonKernelRefused, "add 192.0.2.1/32 to tp0: invalid argument"},
		"no answer":   {syscall.EAGAIN, netif.ReasonKernelRefused, "did not answer in time"},
		"raced, fine": {syscall.EEXIST, "", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			fake := &netif.Fake{Refuse: func(string, netif.Address) error { return tc.errno }}
			fake.AddLink(netif.Link{Name: "tp0", Up: true})
			items, _ := model.ItemErrors(netif.New(fake).Set(t.Context(), []model.VirtualIP{vip("192.0.2.1", "tp0")}))
			item := items["imaging/radiology/192.0.2.1"]
			if tc.want == "" {
				if item != nil {
					t.Fatalf("got %v, want no error", item)
				}
				return
			}
			if item == nil || item.Reason != tc.wantReason || !strings.Contains(item.Error(), tc.want) {
				t.Errorf("got %v, want reason %s and the words %q", item, tc.wantReason, tc.want)
			}
		})
	}
}

func TestRefusedRemovalIsReported(t *testing.T) {
	h := fakeHost(t, false)
	mustSet(t, h, vip("192.0.2.1", "tp0"), vip("192.0.2.2", "tp0"))
	h.kernel.Kernel.(*netif.Fake).Refuse = func(act string, a netif.Address) error {
		if a.Prefix.Addr() == netip.MustParseAddr("192.0.2.1") {
			return syscall.EPERM
		}
		return nil
	}
	items, rest := model.ItemErrors(netif.New(h.kernel).Set(t.Context(), nil))
	if items["192.0.2.1"] == nil || len(items) != 1 || rest != nil {
		t.Errorf("got %v and %v, want one error for 192.0.2.1", items, rest)
	}
	wantAddresses(t, h, "tp0", "192.0.2.1/32")
}

func TestDownInterfaceKeepsItsAddresses(t *testing.T) {
	h := fakeHost(t, false)
	mustSet(t, h, vip("192.0.2.1", "tp0"))
	h.kernel.Kernel.(*netif.Fake).ChangeLink(netif.Link{Name: "tp0", Index: 2})
	if err := netif.New(h.kernel).Set(t.Context(), []model.VirtualIP{vip("192.0.2.1", "tp0")}); err == nil {
		t.Error("an interface that is down is no error")
	}
	wantAddresses(t, h, "tp0", "192.0.2.1/32")
}

func TestEndedContextWritesNothing(t *testing.T) {
	h := fakeHost(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := netif.New(h.kernel).Set(ctx, []model.VirtualIP{vip("192.0.2.1", "tp0")})
	if err == nil || h.kernel.writes != 0 {
		t.Errorf("got %v and %d writes", err, h.kernel.writes)
	}
}

// TestLoopbackBelongsToOthers has an address of the real server driver on lo.
func TestLoopbackBelongsToOthers(t *testing.T) {
	h := fakeHost(t, false)
	a := netif.Address{Interface: "lo", Index: 1, Prefix: netip.MustParsePrefix("192.0.2.100/32")}
	if err := h.kernel.Kernel.AddAddress(netif.RealServerMarker().Mark(a)); err != nil {
		t.Fatal(err)
	}
	mustSet(t, h)
	wantAddresses(t, h, "lo", "192.0.2.100/32")
}

// TestAnyStateConvergesInOneCall starts from any mix of own and foreign addresses.
func TestAnyStateConvergesInOneCall(t *testing.T) {
	address := rapid.Custom(func(rt *rapid.T) netip.Addr {
		octet := byte(rapid.IntRange(1, 8).Draw(rt, "octet"))
		if rapid.Bool().Draw(rt, "IPv6") {
			return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: octet})
		}
		return netip.AddrFrom4([4]byte{192, 0, 2, octet})
	})
	name := rapid.SampledFrom([]string{"tp0", "enp130s0f0np0"})
	rapid.Check(t, func(rt *rapid.T) {
		h := fakeHost(t, rapid.Bool().Draw(rt, "old kernel"))
		indexes := map[string]int{"tp0": 2, "enp130s0f0np0": 4}
		foreign := map[string]bool{}
		for range rapid.IntRange(0, 12).Draw(rt, "there") {
			n := name.Draw(rt, "interface")
			a := netif.Address{Interface: n, Index: indexes[n]}
			a.Prefix = hostOnly(address.Draw(rt, "address"))
			if rapid.Bool().Draw(rt, "with its network") {
				a.Prefix = network(a.Prefix.Addr())
			}
			own := rapid.Bool().Draw(rt, "own")
			if own {
				if a.Prefix.Addr().Is6() {
					a.Prefix = hostOnly(a.Prefix.Addr()) // of one of another length nothing is known
				}
				a = netif.DirectorMarker().Mark(a)
			}
			if h.kernel.Kernel.AddAddress(a) == nil && !own {
				foreign[fmt.Sprint(n, a.Prefix)] = true
			}
		}
		all := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) model.VirtualIP {
			return vip(address.Draw(rt, "vip").String(), name.Draw(rt, "on"))
		}), 0, 6).Draw(rt, "wanted")
		converge(rt, h, all, foreign)
	})
}

// hostOnly and network are the prefixes of an address that the test knows.
func hostOnly(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
func network(a netip.Addr) netip.Prefix  { return netip.PrefixFrom(a, a.BitLen()/4*3) }

func converge(t *rapid.T, h host, all []model.VirtualIP, foreign map[string]bool) {
	want := map[string]bool{}
	for key := range foreign {
		want[key] = true
	}
	for _, v := range all {
		if !foreign[fmt.Sprint(v.Interface, network(v.Address))] {
			want[fmt.Sprint(v.Interface, hostOnly(v.Address))] = true
		}
	}
	if err := netif.New(h.kernel).Set(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, name := range []string{"tp0", "enp130s0f0np0"} {
		for _, prefix := range h.list(name) {
			got[fmt.Sprint(name, prefix)] = true
		}
	}
	// An own address beside a foreign one of another length may stay while it is wanted.
	for _, v := range all {
		key := fmt.Sprint(v.Interface, hostOnly(v.Address))
		if got[key] && !want[key] {
			want[key] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("after one call (-want +got):\n%s", diff)
	}
	before := h.kernel.writes
	if err := netif.New(h.kernel).Set(t.Context(), all); err != nil || h.kernel.writes != before {
		t.Fatalf("second call: %v, %d writes", err, h.kernel.writes-before)
	}
}

// TestHoldNamesWhatItAdded: what was there, is there already or cannot be added is not named.
func TestHoldNamesWhatItAdded(t *testing.T) {
	h := fakeHost(t, false)
	mustSet(t, h, vip("192.0.2.1", "tp0"))
	all := []model.VirtualIP{vip("192.0.2.1", "tp0"), vip("192.0.2.2", "tp0"), vip("2001:db8::2", "tp0"), vip("192.0.2.3", "gone")}
	for round, want := range [][]string{{"192.0.2.2", "2001:db8::2"}, nil} {
		added, err := netif.New(h.kernel).Hold(t.Context(), all)
		if items, rest := model.ItemErrors(err); rest != nil || len(items) != 1 {
			t.Fatalf("error %v, want one about the interface that is gone", err)
		}
		var got []string
		for _, a := range added {
			got = append(got, a.String())
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("round %d: added (-want +got):\n%s", round, diff)
		}
	}
}
