package netif_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/netif"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// TestIPSeesOurMarks has iproute2 as the witness of what is in the kernel.
func TestIPSeesOurMarks(t *testing.T) {
	h := realHost(t)
	mustSet(t, h, vip("192.0.2.100", "tp0"), vip("192.0.2.101", "enp130s0f0np0"))
	got := netnstest.Run(t, "ip", "-4", "-o", "address", "show", "dev", "tp0")
	if !strings.Contains(got, "inet 192.0.2.100/32 scope global") || !strings.Contains(got, "tp0:tp") {
		t.Errorf("ip shows %q, want 192.0.2.100/32 with the label tp0:tp", got)
	}
	got = netnstest.Run(t, "ip", "-4", "-o", "address", "show", "dev", "enp130s0f0np0")
	if !strings.Contains(got, "enp130s0f0np:tp") {
		t.Errorf("ip shows %q, want the cut label enp130s0f0np:tp", got)
	}
	all, err := netif.Rtnetlink{}.Addresses()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		ours := a.Proto == netif.DirectorMarker().Proto
		if want := strings.HasPrefix(a.Prefix.String(), "192.0.2.10"); ours != want {
			t.Errorf("address %s has protocol %#x", a.Prefix, a.Proto)
		}
	}
}

// TestRelabelledAddressIsStillOurs loses one of the two marks.
func TestRelabelledAddressIsStillOurs(t *testing.T) {
	h := realHost(t)
	netnstest.Run(t, "ip", "address", "add", "192.0.2.100/32", "dev", "tp0", "label", "tp0:tp")
	mustSet(t, h)
	wantAddresses(t, h, "tp0")
}

func TestInterfacesOfTheKernel(t *testing.T) {
	h := realHost(t)
	netnstest.Run(t, "ip", "link", "set", "tp0", "address", "02:00:00:00:00:01", "mtu", "9000")
	netnstest.Run(t, "ip", "address", "add", "192.0.2.2/24", "dev", "tp0")
	netnstest.Run(t, "ip", "route", "add", "default", "via", "192.0.2.254")
	netnstest.Run(t, "ip", "route", "add", "198.51.100.0/24", "via", "192.0.2.253")
	found, err := netif.New(h.kernel).Interfaces(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range found {
		if i.Name != "tp0" {
			continue
		}
		want := []netip.Addr{netip.MustParseAddr("192.0.2.254")}
		if diff := cmp.Diff(want, i.Gateways, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("gateways (-want +got):\n%s", diff)
		}
		if i.MAC.String() != "02:00:00:00:00:01" || i.MTU != 9000 || !i.Up || !i.Carrier {
			t.Errorf("tp0 is %+v", i)
		}
		return
	}
	t.Error("tp0 is not listed")
}

// TestGatewaysOfSeveralPaths reads a default route with two next hops.
func TestGatewaysOfSeveralPaths(t *testing.T) {
	h := realHost(t)
	netnstest.Run(t, "ip", "address", "add", "192.0.2.2/24", "dev", "tp0")
	netnstest.Run(t, "ip", "route", "add", "default", "nexthop", "via", "192.0.2.253", "nexthop", "via", "192.0.2.254")
	gateways, err := h.kernel.Gateways()
	if err != nil || len(gateways) != 2 {
		t.Errorf("gateways %v, %v, want two", gateways, err)
	}
}
