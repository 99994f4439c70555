package ipvs_test

import (
	"strings"
	"testing"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/ipvstest"
	"github.com/truepacs/balancer/dataplane/model"
)

func TestForeignServicesAreTold(t *testing.T) {
	fake := &ipvs.Fake{}
	d := ipvs.New(ipvs.Config{Kernel: fake})
	if err := d.Set(t.Context(), []model.VirtualService{ipvstest.Web()}); err != nil {
		t.Fatal(err)
	}
	if some, count, err := d.Foreign(t.Context(), 3); len(some) != 0 || count != 0 || err != nil {
		t.Errorf("found %q, %d, %v", some, count, err)
	}
	for _, mark := range []uint32{7, 8} {
		refused := fake.Apply(t.Context(), []genl.Change{{Command: genl.NewService, Service: genl.Service{ServiceID: genl.ByMark(mark, false), Scheduler: "rr"}}})
		if refused[0] != nil {
			t.Fatal(refused[0])
		}
	}
	some, count, err := d.Foreign(t.Context(), 1)
	if len(some) != 1 || !strings.Contains(some[0], "7") || count != 2 || err != nil {
		t.Errorf("found %q, %d, %v", some, count, err)
	}
}
