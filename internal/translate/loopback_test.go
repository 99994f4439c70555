package translate

import (
	"net/netip"
	"testing"

	"github.com/truepacs/balancer/dataplane/model"
)

// TestTunnelWinsOverDirectRouting: a server that gets packets to one address in both ways needs the
// tunnel, whichever service comes first.
func TestTunnelWinsOverDirectRouting(t *testing.T) {
	at := func(way model.Forwarding) model.LoopbackVIP {
		return model.LoopbackVIP{Address: netip.MustParseAddr("192.0.2.100"), Interface: "eth0", Forwarding: way}
	}
	for _, all := range [][]model.LoopbackVIP{
		{at(model.DirectRouting), at(model.Tunnel)}, {at(model.Tunnel), at(model.DirectRouting)},
	} {
		if got := sortLoopback(all); len(got) != 1 || got[0].Forwarding != model.Tunnel {
			t.Errorf("got %+v", got)
		}
	}
}
