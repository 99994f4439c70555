package agent

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/model"
)

func TestRulesGuardWhatTheHostHolds(t *testing.T) {
	director, loopback, old := netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("192.0.2.101"), netip.MustParseAddr("192.0.2.102")
	served := model.Match{Addresses: []netip.Addr{loopback}, Protocol: model.UDP, Ports: []uint16{514}}
	node := model.Node{
		VirtualIPs: []model.VirtualIP{{Address: director}},
		Proxy:      model.Proxy{Listeners: []model.Listener{{Address: netip.AddrPortFrom(director, 443)}}},
		RealServer: []model.LoopbackVIP{{Address: loopback, Declared: []model.Match{served}}, {Address: old, Forwarding: model.Tunnel}},
	}
	services := []model.VirtualService{{Key: "s"}}
	want := PacketRules{
		Services: services, Guarded: []netip.Addr{director, loopback},
		Declared:  []model.Match{{Addresses: []netip.Addr{director}, Protocol: model.TCP, Ports: []uint16{443}}, served},
		Tunnelled: node.RealServer[1:],
	}
	if diff := cmp.Diff(want, rules(node, services), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}
