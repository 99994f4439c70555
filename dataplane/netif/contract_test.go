package netif_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// host is a kernel with lo and the interfaces tp0, tp1 and enp130s0f0np0 (13 characters), all
// up but tp1.
type host struct {
	kernel *counting
	// prints returns what the kernel's own tool says about the addresses of an interface.
	list func(name string) []string
}

// counting counts writes on their way to the kernel.
type counting struct {
	netif.Kernel
	writes int
}

func (c *counting) AddAddress(a netif.Address) error {
	c.writes++
	return c.Kernel.AddAddress(a)
}

func (c *counting) ChangeAddress(a netif.Address) error {
	c.writes++
	return c.Kernel.ChangeAddress(a)
}

func (c *counting) RemoveAddress(a netif.Address) error {
	c.writes++
	return c.Kernel.RemoveAddress(a)
}

func fakeHost(t *testing.T, noProto bool) host {
	t.Helper()
	fake := &netif.Fake{NoProto: noProto}
	fake.AddLink(netif.Link{Name: "lo", Up: true, Carrier: true, Loopback: true})
	fake.AddLink(netif.Link{Name: "tp0", Up: true, Carrier: true})
	fake.AddLink(netif.Link{Name: "tp1"})
	fake.AddLink(netif.Link{Name: "enp130s0f0np0", Up: true, Carrier: true})
	return newHost(t, fake)
}

func realHost(t *testing.T) host {
	t.Helper()
	netnstest.Enter(t)
	netnstest.Veth(t, "tp0", "peer0")
	netnstest.Veth(t, "tp1", "peer1")
	netnstest.Veth(t, "enp130s0f0np0", "peer2")
	netnstest.Run(t, "ip", "link", "set", "tp1", "down")
	return newHost(t, netif.Rtnetlink{})
}

func newHost(t *testing.T, kernel netif.Kernel) host {
	return host{
		kernel: &counting{Kernel: kernel},
		list: func(name string) []string {
			all, err := kernel.Addresses()
			if err != nil {
				t.Fatal(err)
			}
			var found []string
			for _, a := range all {
				if a.Interface == name && !a.Prefix.Addr().IsLinkLocalUnicast() {
					found = append(found, a.Prefix.String())
				}
			}
			slices.Sort(found)
			return found
		},
	}
}

// add puts an address there as an administrator would.
func (h host) add(t *testing.T, name, prefix string) {
	t.Helper()
	links, err := h.kernel.Links()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(links, func(l netif.Link) bool { return l.Name == name })
	if err := h.kernel.Kernel.AddAddress(netif.Address{Index: links[at].Index, Prefix: netip.MustParsePrefix(prefix)}); err != nil {
		t.Fatal(err)
	}
}

// TestContract runs each clause of the driver's contract against both fakes and the kernel.
func TestContract(t *testing.T) {
	kernels := map[string]func(*testing.T) host{
		"fake":          func(t *testing.T) host { return fakeHost(t, false) },
		"fake old":      func(t *testing.T) host { return fakeHost(t, true) },
		"kernel in pod": realHost,
	}
	for clause, check := range clauses() {
		for name, open := range kernels {
			t.Run(clause+"/"+name, func(t *testing.T) { check(t, open(t)) })
		}
	}
}

func vip(address, name string) model.VirtualIP {
	return model.VirtualIP{Key: "imaging/radiology/" + address, Address: netip.MustParseAddr(address), Interface: name}
}

func clauses() map[string]func(*testing.T, host) {
	return map[string]func(*testing.T, host){
		"adds, keeps, removes":             addsKeepsRemoves,
		"second call writes nothing":       secondCallWritesNothing,
		"removes leftovers after restart":  removesLeftovers,
		"never removes what it found":      neverRemovesForeign,
		"moves between interfaces":         moves,
		"bad items do not stop the others": badItems,
		"says what the host has":           saysInterfaces,
		"IPv6 is held and never preferred": holdsIPv6,
		"preferred IPv6 is mended":         mendsIPv6,
		"foreign IPv6 stays as it is":      keepsForeignIPv6,
	}
}

func mustSet(t *testing.T, h host, all ...model.VirtualIP) {
	t.Helper()
	if err := netif.New(h.kernel).Set(t.Context(), all); err != nil {
		t.Fatal(err)
	}
}

func wantAddresses(t *testing.T, h host, name string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, h.list(name)); diff != "" {
		t.Fatalf("addresses of %s (-want +got):\n%s", name, diff)
	}
}

func addsKeepsRemoves(t *testing.T, h host) {
	mustSet(t, h, vip("192.0.2.100", "tp0"), vip("192.0.2.101", "tp0"))
	wantAddresses(t, h, "tp0", "192.0.2.100/32", "192.0.2.101/32")
	before := h.kernel.writes
	mustSet(t, h, vip("192.0.2.101", "tp0"))
	wantAddresses(t, h, "tp0", "192.0.2.101/32")
	if got := h.kernel.writes - before; got != 1 {
		t.Errorf("removing one address took %d writes, want 1", got)
	}
}

func secondCallWritesNothing(t *testing.T, h host) {
	all := []model.VirtualIP{vip("192.0.2.100", "tp0"), vip("192.0.2.100", "tp0"), vip("192.0.2.101", "enp130s0f0np0")}
	mustSet(t, h, all...)
	before := h.kernel.writes
	mustSet(t, h, all...)
	if h.kernel.writes != before || before != 2 {
		t.Errorf("%d writes, then %d, want 2 and none", before, h.kernel.writes-before)
	}
}

func removesLeftovers(t *testing.T, h host) {
	mustSet(t, h, vip("192.0.2.100", "tp0"), vip("192.0.2.101", "enp130s0f0np0"))
	mustSet(t, h)
	wantAddresses(t, h, "tp0")
	wantAddresses(t, h, "enp130s0f0np0")
}

func neverRemovesForeign(t *testing.T, h host) {
	h.add(t, "tp0", "192.0.2.2/24")
	h.add(t, "tp0", "192.0.2.100/32")
	h.add(t, "tp0", "192.0.2.101/24")
	mustSet(t, h, vip("192.0.2.100", "tp0"), vip("192.0.2.101", "tp0"))
	mustSet(t, h)
	wantAddresses(t, h, "tp0", "192.0.2.100/32", "192.0.2.101/24", "192.0.2.2/24")
	if h.kernel.writes != 0 {
		t.Errorf("%d writes for addresses that are there, want none", h.kernel.writes)
	}
}

func moves(t *testing.T, h host) {
	mustSet(t, h, vip("192.0.2.100", "tp0"))
	mustSet(t, h, vip("192.0.2.100", "enp130s0f0np0"))
	wantAddresses(t, h, "tp0")
	wantAddresses(t, h, "enp130s0f0np0", "192.0.2.100/32")
}

func badItems(t *testing.T, h host) {
	err := netif.New(h.kernel).Set(t.Context(), []model.VirtualIP{
		vip("192.0.2.1", "absent"), vip("192.0.2.2", "tp1"), vip("::ffff:192.0.2.3", "tp0"),
		vip("192.0.2.4", "lo"), {Key: "empty", Interface: "tp0"}, vip("192.0.2.5", "tp0"),
	})
	items, rest := model.ItemErrors(err)
	got := map[string]string{}
	for key, item := range items {
		got[key] = item.Reason
	}
	want := map[string]string{
		"imaging/radiology/192.0.2.1":        netif.ReasonInterfaceNotFound,
		"imaging/radiology/192.0.2.2":        netif.ReasonInterfaceNotFound,
		"imaging/radiology/::ffff:192.0.2.3": netif.ReasonKernelRefused,
		"imaging/radiology/192.0.2.4":        netif.ReasonInterfaceNotFound,
		"empty":                              netif.ReasonKernelRefused,
	}
	if diff := cmp.Diff(want, got); diff != "" || rest != nil {
		t.Errorf("item errors (-want +got):\n%s\nrest: %v", diff, rest)
	}
	wantAddresses(t, h, "tp0", "192.0.2.5/32")
	wantAddresses(t, h, "tp1")
}

// passive returns which of the interface's addresses the host does not use as source.
func (h host) passive(t *testing.T, name string) []string {
	t.Helper()
	all, err := h.kernel.Addresses()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, a := range all {
		if a.Interface == name && a.Passive {
			found = append(found, a.Prefix.String())
		}
	}
	slices.Sort(found)
	return found
}

func holdsIPv6(t *testing.T, h host) {
	all := []model.VirtualIP{vip("2001:db8::100", "tp0"), vip("192.0.2.100", "tp0"), vip("2001:db8::101", "enp130s0f0np0")}
	mustSet(t, h, all...)
	mustSet(t, h, all...)
	wantAddresses(t, h, "tp0", "192.0.2.100/32", "2001:db8::100/128")
	if got := h.passive(t, "tp0"); !slices.Equal(got, []string{"2001:db8::100/128"}) || h.kernel.writes != 3 {
		t.Errorf("passive are %v after %d writes, want the IPv6 address after 3", got, h.kernel.writes)
	}
	mustSet(t, h, all[0])
	wantAddresses(t, h, "tp0", "2001:db8::100/128")
	mustSet(t, h)
	wantAddresses(t, h, "tp0")
	wantAddresses(t, h, "enp130s0f0np0")
}

// mendsIPv6: somebody makes the address preferred, as `ip address change ... preferred_lft
// forever` does.
func mendsIPv6(t *testing.T, h host) {
	mustSet(t, h, vip("2001:db8::100", "tp0"))
	all, _ := h.kernel.Addresses()
	at := slices.IndexFunc(all, func(a netif.Address) bool { return a.Prefix.Addr() == netip.MustParseAddr("2001:db8::100") })
	preferred := all[at]
	preferred.Passive = false
	if err := h.kernel.Kernel.ChangeAddress(preferred); err != nil || h.passive(t, "tp0") != nil {
		t.Fatalf("the address is still passive: %v", err)
	}
	mustSet(t, h, vip("2001:db8::100", "tp0"))
	if got := h.passive(t, "tp0"); len(got) != 1 || h.kernel.writes != 2 {
		t.Errorf("passive are %v after %d writes, want the address again after 2", got, h.kernel.writes)
	}
	mustSet(t, h)
	wantAddresses(t, h, "tp0")
}

func keepsForeignIPv6(t *testing.T, h host) {
	h.add(t, "tp0", "2001:db8::100/128")
	h.add(t, "tp0", "2001:db8::101/64")
	mustSet(t, h, vip("2001:db8::100", "tp0"), vip("2001:db8::101", "tp0"))
	mustSet(t, h)
	wantAddresses(t, h, "tp0", "2001:db8::100/128", "2001:db8::101/64")
	if h.kernel.writes != 0 || h.passive(t, "tp0") != nil {
		t.Errorf("%d writes, passive are %v; want the administrator's addresses as they are", h.kernel.writes, h.passive(t, "tp0"))
	}
}

func saysInterfaces(t *testing.T, h host) {
	h.add(t, "tp0", "192.0.2.2/24")
	mustSet(t, h, vip("192.0.2.100", "tp0"))
	found, err := netif.New(h.kernel).Interfaces(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, i := range found {
		own := slices.DeleteFunc(i.Addresses, func(p netip.Prefix) bool { return !p.Addr().Is4() })
		got[i.Name] = fmt.Sprint(i.Up, i.Loopback, own)
	}
	for _, name := range []string{"peer0", "peer1", "peer2"} {
		delete(got, name)
	}
	delete(got, "lo")
	want := map[string]string{
		"tp0": "true false [192.0.2.2/24]", "tp1": "false false []", "enp130s0f0np0": "true false []",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("interfaces (-want +got):\n%s", diff)
	}
}
