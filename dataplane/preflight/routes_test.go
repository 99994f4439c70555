package preflight

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// TestExitsOfTheKernel has the routes of a node with a network of containers, a second card and a
// default route with a reserve.
func TestExitsOfTheKernel(t *testing.T) {
	netnstest.Enter(t)
	netnstest.Veth(t, "cni0", "pod0")
	netnstest.Veth(t, "flannel.1", "pod1")
	for _, command := range [][]string{
		{"link", "add", "eth0", "type", "bridge"}, {"link", "add", "eth1", "type", "bridge"},
		{"address", "add", "192.0.2.2/24", "dev", "eth0"}, {"address", "add", "198.51.100.2/24", "dev", "eth1"},
		{"address", "add", "10.244.0.1/24", "dev", "cni0"}, {"address", "add", "10.244.0.0/32", "dev", "flannel.1"},
		{"link", "set", "eth0", "up"}, {"link", "set", "eth1", "up"},
		{"route", "add", "10.244.1.0/24", "via", "10.244.1.0", "dev", "flannel.1", "onlink"},
		{"route", "add", "default", "via", "192.0.2.1", "metric", "100"}, {"route", "add", "default", "via", "198.51.100.1", "metric", "200"},
		{"route", "add", "10.9.0.0/16", "via", "198.51.100.1"}, {"route", "add", "unreachable", "10.8.0.0/16"},
		{"route", "add", "10.7.0.0/16", "nexthop", "via", "192.0.2.1", "nexthop", "via", "198.51.100.1"},
	} {
		netnstest.Run(t, "ip", command...)
	}
	got, err := Host{}.Exits()
	if err != nil {
		t.Fatal(err)
	}
	want := []Exit{
		{everywhere, []string{"eth0"}, 100}, {everywhere, []string{"eth1"}, 200},
		{netip.MustParsePrefix("10.9.0.0/16"), []string{"eth1"}, 0}, {netip.MustParsePrefix("10.7.0.0/16"), []string{"eth0", "eth1"}, 0},
	}
	byPlace := cmpopts.SortSlices(func(a, b Exit) bool { return a.To.String()+a.Interfaces[0] < b.To.String()+b.Interfaces[0] })
	if diff := cmp.Diff(want, got, byPlace, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestSourceOfAHostWithHostPrefixes is a host as DHCPv6 makes it: its address has no network, a route
// of the router's advertisement says that the network is on the link.
func TestSourceOfAHostWithHostPrefixes(t *testing.T) {
	netnstest.Enter(t)
	netnstest.Veth(t, "tp0", "tp1")
	for _, command := range [][]string{
		{"address", "add", "2001:db8::2/128", "dev", "tp0", "nodad"},
		{"-6", "route", "add", "2001:db8::/64", "dev", "tp0"}, {"-6", "route", "add", "2001:db8:9::/64", "via", "2001:db8::1"},
	} {
		netnstest.Run(t, "ip", command...)
	}
	for to, want := range map[string]string{"2001:db8::11": "tp0 2001:db8::2", "2001:db8:9::11": "", "2001:db8::2": "", "2001:db8:8::1": ""} {
		name, from, ok, err := Host{}.Source(netip.MustParseAddr(to))
		got := ""
		if ok {
			got = name + " " + from.String()
		}
		if err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", to, got, err, want)
		}
	}
}
