package realserver_test

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif"
	"github.com/truepacs/balancer/dataplane/realserver"
)

// tunnelHost is a host with lo and eth0 in memory.
type tunnelHost struct {
	*realserver.Fake
	record string
}

func newTunnelHost(t *testing.T) tunnelHost {
	t.Helper()
	h := tunnelHost{&realserver.Fake{}, filepath.Join(t.TempDir(), "record.json")}
	h.AddLink(netif.Link{Name: "lo", Loopback: true, Up: true})
	h.AddLink(netif.Link{Name: "eth0", Up: true, MAC: []byte{2, 0, 0, 0, 0, 1}})
	return h
}

// set calls a fresh driver, as after a restart.
func (h tunnelHost) set(t *testing.T, addresses ...string) error {
	t.Helper()
	var all []model.LoopbackVIP
	for _, a := range addresses {
		all = append(all, model.LoopbackVIP{Address: netip.MustParseAddr(a), Interface: "eth0", Forwarding: model.Tunnel})
	}
	d := realserver.New(realserver.Config{Kernel: h, Sysctls: h, Tunnels: h, RecordPath: h.record})
	return d.Set(t.Context(), all)
}

func (h tunnelHost) mustSet(t *testing.T, addresses ...string) {
	t.Helper()
	for range 2 { // the second time changes nothing
		if err := h.set(t, addresses...); err != nil {
			t.Fatal(err)
		}
	}
}

// device is the device of that name; its index is 0 if it is not there.
func (h tunnelHost) device(name string) netif.Link {
	links, _ := h.Links()
	for _, l := range links {
		if l.Name == name {
			return l
		}
	}
	return netif.Link{}
}

func (h tunnelHost) want(t *testing.T, name string, up bool, rpFilter int) {
	t.Helper()
	link := h.device(name)
	v, err := h.Get(link.Index)
	if err != nil || link.Up != up || v.RPFilter != rpFilter {
		t.Errorf("%s is up %v with rp_filter %d, %v; want %v, %d", name, link.Up, v.RPFilter, err, up, rpFilter)
	}
}

// held are the addresses of the host.
func (h tunnelHost) held() string {
	all, _ := h.Addresses()
	var out []string
	for _, a := range all {
		out = append(out, a.Prefix.String()+"%"+a.Interface)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestTunnelDevicesComeAndGo(t *testing.T) {
	h := newTunnelHost(t)
	h.mustSet(t, "192.0.2.100", "2001:db8::100")
	if got, want := h.held(), "192.0.2.100/32%lo 192.0.2.100/32%tunl0 2001:db8::100/128%lo"; got != want {
		t.Errorf("the host has %s, want %s", got, want)
	}
	h.want(t, "tunl0", true, 2)
	h.want(t, "ip6tnl0", true, 0)
	h.mustSet(t, "2001:db8::100")
	h.want(t, "tunl0", false, 0)
	h.want(t, "ip6tnl0", true, 0)
	h.mustSet(t)
	h.want(t, "ip6tnl0", false, 0)
	if got := h.held(); got != "" {
		t.Errorf("left behind: %s", got)
	}
}

// TestTunnelDeviceOfOthers: a network plug-in's tunl0 stays on, with the source check it had.
func TestTunnelDeviceOfOthers(t *testing.T) {
	h := newTunnelHost(t)
	link := h.AddLink(netif.Link{Name: "tunl0", Up: true})
	if err := h.Fake.Set(link.Index, realserver.Values{RPFilter: 1}); err != nil {
		t.Fatal(err)
	}
	h.mustSet(t, "192.0.2.100")
	h.want(t, "tunl0", true, 2)
	h.mustSet(t)
	h.want(t, "tunl0", true, 1)
}

func TestKernelWithoutTunnelsIsNamed(t *testing.T) {
	h := newTunnelHost(t)
	h.NoTunnels = true
	items, rest := model.ItemErrors(h.set(t, "192.0.2.100", "2001:db8::100"))
	for _, a := range []string{"192.0.2.100", "2001:db8::100"} {
		if items[a] == nil || !strings.Contains(items[a].Error(), "load the module ipip") {
			t.Errorf("%s: %v", a, items[a])
		}
	}
	if found, _ := h.Addresses(); rest != nil || len(found) != 0 {
		t.Errorf("%v, addresses %v", rest, found)
	}
}

func TestDirectRoutingNeedsNoTunnel(t *testing.T) {
	h := newTunnelHost(t)
	h.NoTunnels = true
	d := realserver.New(realserver.Config{Kernel: h, Sysctls: h, RecordPath: h.record})
	if err := d.Set(t.Context(), []model.LoopbackVIP{vip("192.0.2.100", "eth0")}); err != nil {
		t.Error(err)
	}
	if h.device("tunl0").Index != 0 {
		t.Error("a tunnel was made")
	}
}
