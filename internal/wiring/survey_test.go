package wiring

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/nft"
	"github.com/truepacs/balancer/dataplane/preflight"
)

func TestRotationAsksForAllByTurns(t *testing.T) {
	all := []int{1, 2, 3, 4, 5, 6, 7}
	var r rotation[int, string]
	if got := r.due(all[:3], 3); !slices.Equal(got, all[:3]) {
		t.Errorf("few are asked for at once: %v", got)
	}
	asked := map[int]int{}
	for range 7 {
		for _, k := range r.due(all, 3) {
			asked[k]++
			r.note(k, "known")
		}
	}
	for _, k := range all {
		if asked[k] != 3 {
			t.Errorf("%d was asked for %d times in 7 turns of 3 of 7", k, asked[k])
		}
	}
	if got := r.answers(all[:2]); len(got) != 2 || len(r.answers(all)) != 2 {
		t.Errorf("kept %v", got)
	}
}

func address(text string) netip.Addr { return netip.MustParseAddr(text) }

func TestServersAreAskedForWhatTheyShouldAccept(t *testing.T) {
	vips := []netip.Addr{address("192.0.2.100"), address("192.0.2.101")}
	node := model.Node{Services: []model.VirtualService{
		{
			Addresses: vips[:1], Protocol: model.TCP, PortRanges: []model.PortRange{{First: 5000, Last: 5010}}, Forwarding: model.DirectRouting,
			Also: []model.Match{{Addresses: vips[1:], Protocol: model.TCP, Ports: []uint16{80, 443}}},
			Servers: []model.RealServer{
				{Address: address("192.0.2.11")}, {Address: address("192.0.2.12"), State: model.Maintenance},
				{Address: address("192.0.2.13"), Forwarding: model.SNAT}, {Address: address("192.0.2.14"), State: model.Drain},
			},
		},
		{Addresses: vips, Protocol: model.TCP, Ports: []uint16{104}, Forwarding: model.DirectRouting, Servers: []model.RealServer{{Address: address("192.0.2.11")}}},
		{Addresses: vips, Protocol: model.UDP, Ports: []uint16{514}, Forwarding: model.DirectRouting, Servers: []model.RealServer{{Address: address("192.0.2.15")}}},
		{Addresses: vips, Protocol: model.TCP, Ports: []uint16{514}, Forwarding: model.Tunnel, Servers: []model.RealServer{{Address: address("192.0.2.16")}}},
	}}
	both := []netip.AddrPort{netip.AddrPortFrom(vips[0], 5000), netip.AddrPortFrom(vips[1], 80)}
	want := map[netip.Addr][]netip.AddrPort{address("192.0.2.11"): both, address("192.0.2.14"): both}
	if diff := cmp.Diff(want, directPorts(node), cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAnswersToThisHostAreNotOnTheirWayToAClient(t *testing.T) {
	eth0 := preflight.Interface{Name: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/32"), netip.MustParsePrefix("192.0.2.2/24")}}
	facts := preflight.Facts{Interfaces: []preflight.Interface{eth0}}
	vip, a, b := address("192.0.2.100"), net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	(&surveyor{}).packets(&facts,
		nft.Seen{Through: []nft.Reply{{VIP: vip, MAC: b, Client: address("198.51.100.7")}, {VIP: vip, MAC: a, Client: address("192.0.2.2")}}},
		nft.Seen{Through: []nft.Reply{{VIP: vip, MAC: b, Client: address("198.51.100.8")}, {VIP: vip, MAC: a, Client: address("198.51.100.8")}}})
	if got := facts.Through[vip]; len(facts.Through) != 1 || len(got) != 2 || got[0].String() != a.String() || got[1].String() != b.String() {
		t.Errorf("%v", facts.Through)
	}
	facts = preflight.Facts{Interfaces: []preflight.Interface{eth0}}
	(&surveyor{}).packets(&facts, nft.Seen{Through: []nft.Reply{{VIP: vip, MAC: a, Client: address("192.0.2.2")}}})
	if len(facts.Through) != 0 {
		t.Errorf("an answer to this host counts: %v", facts.Through)
	}
	if got := sourceFor(eth0, address("192.0.2.11")); got != address("192.0.2.2") {
		t.Errorf("asks from %s", got)
	}
}

func TestInterfacesThatFaceServersOfSNAT(t *testing.T) {
	node := model.Node{Services: []model.VirtualService{{Forwarding: model.SNAT, Servers: []model.RealServer{
		{Address: address("192.0.2.11")}, {Address: address("192.0.2.12"), Forwarding: model.NAT}, {Address: address("2001:db8::1")}, {Address: address("203.0.113.1")},
	}}}}
	got := toward(node, func(a netip.Addr) (string, error) {
		if a == address("203.0.113.1") {
			return "", errors.New("no way")
		}
		return "eth1", nil
	})
	want := map[netip.Addr]string{address("192.0.2.11"): "eth1"}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
