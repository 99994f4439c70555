package agent

import (
	"net/netip"

	"github.com/truepacs/balancer/dataplane/drain"
	"github.com/truepacs/balancer/dataplane/model"
)

// rules says what the packet filter does: services with their servers' states, connections that
// are to be reset, and which addresses answer on declared ports only. A loopback address of a server
// whose ports are not known stays open.
func rules(node model.Node, leaving drain.Result) PacketRules {
	r := PacketRules{Services: leaving.Services, Resets: leaving.Resets}
	for _, v := range node.VirtualIPs {
		r.Guarded = append(r.Guarded, v.Address)
	}
	for _, l := range node.Proxy.Listeners {
		r.Declared = append(r.Declared, model.Match{
			Addresses: []netip.Addr{l.Address.Addr()}, Protocol: model.TCP, Ports: []uint16{l.Address.Port()},
		})
	}
	for _, v := range node.RealServer {
		if v.Forwarding == model.Tunnel {
			r.Tunnelled = append(r.Tunnelled, v)
		}
		if len(v.Declared) > 0 {
			r.Guarded = append(r.Guarded, v.Address)
			r.Declared = append(r.Declared, v.Declared...)
		}
	}
	return r
}
