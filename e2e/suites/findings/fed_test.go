package findings

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/preflight"
	"github.com/truepacs/balancer/e2e/site"
)

// fed gives the product's own code what a driver answers that this machine has not: large receive
// offload. It is off after the answer is that it is off.
func fed(t *testing.T) {
	t.Helper()
	vip := netip.MustParseAddr(site.VIP)
	node := model.Node{Services: []model.VirtualService{{Key: "default/flows/direct", Addresses: []netip.Addr{vip}}}}
	for flags, want := range map[uint32]int{preflight.FlagLRO: 1, 0: 0} {
		host := preflight.Host{Flags: func(string) (uint32, error) { return flags, nil }}
		known, err := host.Interface(preflight.Interface{Name: "lo", MTU: 1500})
		if err != nil {
			t.Fatal(err)
		}
		found := preflight.Judge(node, preflight.Facts{Interfaces: []preflight.Interface{known}, Forwarding: preflight.Forwarding{IPv4: true}})
		if len(found) != want {
			t.Errorf("flags %#x: found %v", flags, found)
		}
		for _, f := range found {
			if f.Reason != preflight.ReasonReceiveOffload || !strings.Contains(f.Message, "ethtool -K lo lro off") {
				t.Errorf("found %+v", f)
			}
			t.Logf("LRO on: fed, not provoked (no driver of this machine has it): %s", f.Message)
		}
	}
}
