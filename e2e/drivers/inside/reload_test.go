//go:build machine

package inside

import (
	"strings"
	"testing"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/ipvstest"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// TestReloadedModule takes the module away under a driver and gives it back, empty: the driver's next
// call makes everything anew, and its socket goes on.
func TestReloadedModule(t *testing.T) {
	n := &ipvs.Netlink{}
	defer n.Close()
	driver := ipvs.New(ipvs.Config{Kernel: n})
	all := []model.VirtualService{ipvstest.Dicom(), ipvstest.Web()}
	var want []string
	for round := range 3 {
		if err := driver.Set(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		got := ipvstest.Table(t, n)
		if round == 0 {
			want = got
		}
		if len(got) != 5 || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("round %d: the table is %q, want %q", round, got, want)
		}
		if round == 2 {
			break
		}
		netnstest.Run(t, "ipvsadm", "-C") // or its schedulers cannot go
		ipvstest.Unload(t)
		netnstest.Run(t, "modprobe", "ip_vs")
	}
	if err := driver.Set(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}
