package realserver

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif"
)

// TestAudible has the interfaces of a cluster's node beside the one that faces the director.
func TestAudible(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	tests := map[string]struct {
		link    netif.Link
		address string
		want    bool
	}{
		"second card, same network":        {netif.Link{MAC: mac}, "192.0.2.12/24", true},
		"second card, other network":       {netif.Link{MAC: mac}, "198.51.100.2/24", true},
		"card without address, down":       {netif.Link{MAC: mac}, "", true},
		"card in a bond":                   {netif.Link{MAC: mac, Master: 7}, "192.0.2.12/24", false},
		"VLAN":                             {netif.Link{MAC: mac, Kind: "vlan"}, "", true},
		"bridge, same network":             {netif.Link{MAC: mac, Kind: "bridge"}, "192.0.2.12/25", true},
		"bridge, the virtual IP's network": {netif.Link{MAC: mac, Kind: "bridge"}, "203.0.113.7/24", true},
		"bridge of containers":             {netif.Link{MAC: mac, Kind: "bridge"}, "10.244.0.1/24", false},
		"container's end":                  {netif.Link{MAC: mac, Kind: "veth"}, "", false},
		"container's end with an address":  {netif.Link{MAC: mac, Kind: "veth"}, "192.0.2.12/32", false},
		"tunnel without MAC":               {netif.Link{Kind: "ipip"}, "192.0.2.12/24", false},
		"lo":                               {netif.Link{MAC: mac, Loopback: true}, "192.0.2.12/24", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tc.link.Name = "other"
			links := map[string]netif.Link{"eth0": {Name: "eth0", MAC: mac}, "other": tc.link}
			addresses := []netif.Address{{Interface: "eth0", Prefix: netip.MustParsePrefix("192.0.2.11/24")}}
			if tc.address != "" {
				addresses = append(addresses, netif.Address{Interface: "other", Prefix: netip.MustParsePrefix(tc.address)})
			}
			all := []model.LoopbackVIP{{Address: netip.MustParseAddr("203.0.113.100"), Interface: "eth0"}}
			want := []string{"eth0"}
			if tc.want {
				want = append(want, "other")
			}
			if diff := cmp.Diff(want, Audible(links, addresses, all)); diff != "" {
				t.Errorf("interfaces (-want +got):\n%s", diff)
			}
			all[0].Address = netip.MustParseAddr("2001:db8::100")
			if got := Audible(links, addresses, all); got != nil {
				t.Errorf("%v are silenced for IPv6", got)
			}
		})
	}
}
