//go:build machine

package inside

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/ipvstest"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// others is what ipvsadm says of the services that are not ours.
func others(t *testing.T) string {
	t.Helper()
	var kept []string
	for line := range strings.Lines(netnstest.Run(t, "ipvsadm", "-S", "-n")) {
		fields := strings.Fields(line)
		mark, err := strconv.Atoi(fields[2])
		if err != nil || mark>>24 != 0x54 {
			kept = append(kept, strings.TrimSpace(line))
		}
	}
	slices.Sort(kept) // the kernel's order is that of its hash, which a new one may change
	return strings.Join(kept, "\n")
}

// TestStatesOfTheKernelConverge starts from 200 states; a failure names its seed.
func TestStatesOfTheKernelConverge(t *testing.T) {
	k := kernel(t)
	first := rand.Uint64()
	t.Logf("seeds from %d", first)
	foreign := 0
	for i := range uint64(200) {
		ipvstest.Converge(t, k, first+i, func() string {
			said := others(t)
			foreign += strings.Count(said, "-A")
			return said
		})
		netnstest.Run(t, "ipvsadm", "-C")
	}
	t.Logf("%d services of others seen by ipvsadm, before and after", foreign)
	if foreign == 0 {
		t.Error("no state had a service of others")
	}
}

// TestPasses makes a random mess of the host's own IPVS, has the driver clean it up, and so on, ten
// times. All the while the service that SEED's caller uses keeps its server 192.0.2.11: package
// drivers holds a connection open through it.
func TestPasses(t *testing.T) {
	seed, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	if err != nil {
		t.Fatalf("SEED: %v", err)
	}
	n := &ipvs.Netlink{}
	defer n.Close()
	r := rand.New(rand.NewPCG(seed, 5))
	kept := ipvstest.Dicom()
	id := genl.ByMark(kept.Mark, false)
	before := others(t)
	for range 10 {
		wanted := slices.DeleteFunc(ipvstest.Wanted(r), func(s model.VirtualService) bool { return s.Mark == kept.Mark })
		mess := slices.DeleteFunc(ipvstest.Before(t, r, wanted), func(c genl.Change) bool {
			removal := c.Command == genl.DelDest || c.Command == genl.DelService
			ours := c.Service.Mark>>24 == 0x54
			return !ours || removal && c.Service.ServiceID == id
		})
		_ = n.Apply(t.Context(), mess)
		if err := ipvs.New(ipvs.Config{Kernel: n}).Set(t.Context(), append(wanted, kept)); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	if err := ipvs.New(ipvs.Config{Kernel: n}).Set(t.Context(), []model.VirtualService{kept}); err != nil {
		t.Fatal(err)
	}
	if after := others(t); after != before {
		t.Errorf("services of others were\n%s\nand are\n%s", before, after)
	}
}
