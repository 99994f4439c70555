package ipvs

import (
	"errors"
	"testing"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/procfs"
)

// TestLookingForIPVS: the kernel has it or not, lets us or not; either way the answers must be clear.
// Nothing is written.
func TestLookingForIPVS(t *testing.T) {
	n := &Netlink{}
	defer n.Close()
	_, table := n.Table(t.Context(), nil)
	if (table == nil) != n.Loaded() {
		t.Errorf("the table: %v, loaded: %t", table, n.Loaded())
	}
	_, timeouts := n.Timeouts(t.Context())
	_, services := n.Services(t.Context())
	_, service := n.Service(t.Context(), genl.ByMark(0x54fffffe, false))
	_, servers := n.Destinations(t.Context(), genl.ByMark(0x54fffffe, false))
	connections := n.Connections(t.Context(), func(*procfs.Connection) error { return nil })
	for name, err := range map[string]error{
		"table": table, "timeouts": timeouts, "services": services, "service": service, "servers": servers, "connections": connections,
	} {
		if err != nil && !errors.Is(err, genl.ErrNoModule) && !errors.Is(err, genl.ErrPermission) && !errors.Is(err, genl.ErrNoService) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
