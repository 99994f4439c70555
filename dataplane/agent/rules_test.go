package agent

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/truepacs/balancer/dataplane/drain"
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
	resets := []drain.Flow{{Client: netip.MustParseAddrPort("192.0.2.51:4000"), Virtual: netip.AddrPortFrom(director, 104)}}
	want := PacketRules{
		Services: services, Resets: resets, Guarded: []netip.Addr{director, loopback},
		Declared:  []model.Match{{Addresses: []netip.Addr{director}, Protocol: model.TCP, Ports: []uint16{443}}, served},
		Tunnelled: node.RealServer[1:],
	}
	if diff := cmp.Diff(want, rules(node, drain.Result{Services: services, Resets: resets}), cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); diff != "" {
		t.Error(diff)
	}
}
