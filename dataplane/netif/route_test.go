package netif_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/truepacs/balancer/dataplane/netif"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

func TestRouteNamesTheInterface(t *testing.T) {
	netnstest.Enter(t)
	netnstest.Veth(t, "tp0", "tp1")
	for _, address := range []string{"192.0.2.2/24", "2001:db8:1::2/64"} {
		netnstest.Run(t, "ip", "address", "add", address, "dev", "tp0", "nodad")
	}
	netnstest.Run(t, "ip", "route", "add", "198.51.100.0/24", "via", "192.0.2.1")
	route := netif.Rtnetlink{}.Routes()
	for _, address := range []string{"192.0.2.11", "198.51.100.11", "2001:db8:1::11"} {
		if got, err := route(netip.MustParseAddr(address)); err != nil || got != "tp0" {
			t.Errorf("%s is reached by %q, %v", address, got, err)
		}
	}
	_, err := route(netip.MustParseAddr("203.0.113.1"))
	if err == nil || !strings.Contains(err.Error(), "give this host a route") {
		t.Errorf("an address without route: %v", err)
	}
}
