package ipvs_test

import (
	"net/netip"
	"testing"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/model"
)

// TestTrafficOfOneService reads one service and no other.
func TestTrafficOfOneService(t *testing.T) {
	driver := ipvs.New(ipvs.Config{Kernel: &ipvs.Fake{}})
	if err := driver.Set(t.Context(), []model.VirtualService{hashed(1, 2)}); err != nil {
		t.Fatal(err)
	}
	got, err := driver.Traffic(t.Context(), 0x54000001, false)
	if _, there := got[netip.MustParseAddrPort("192.0.2.12:0")]; err != nil || len(got) != 2 || !there {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := driver.Traffic(t.Context(), 0x54000001, true); err != nil || len(got) > 0 {
		t.Errorf("a service that is not there: %v, %v", got, err)
	}
}
