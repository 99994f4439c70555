//go:build machine

package inside

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/ipvstest"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// others is what ipvsadm saves and counts of the services that are not ours.
func others(t *testing.T) string {
	t.Helper()
	var kept []string
	for line := range strings.Lines(netnstest.Run(t, "ipvsadm", "-S", "-n")) {
		if fields := strings.Fields(line); !isOurs(fields[2]) {
			kept = append(kept, strings.TrimSpace(line))
		}
	}
	service := ""
	for line := range strings.Lines(netnstest.Run(t, "ipvsadm", "-L", "-n", "--stats", "--exact")) {
		fields := strings.Fields(line)
		if len(fields) < 7 || fields[0] == "Prot" { // what stands above the table
			continue
		}
		if fields[0] != "->" {
			service = fields[1]
		}
		if !isOurs(service) {
			kept = append(kept, service+" counts "+strings.Join(fields, " "))
		}
	}
	slices.Sort(kept) // the kernel's order is that of its hash, which a new one may change
	return strings.Join(kept, "\n")
}

// isOurs tells whether a word of ipvsadm is a firewall mark of ours.
func isOurs(word string) bool {
	mark, err := strconv.Atoi(word)
	return err == nil && mark>>24 == 0x54
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

// TestStatesUnderFlows brings the host's own IPVS into random states and has the driver converge from
// each. In all of them the service that SEED's caller uses keeps its server 192.0.2.11: package
// drivers has connections open through it, and through a service of others, which has to stay as it
// is and to count nothing.
func TestStatesUnderFlows(t *testing.T) {
	seed, states := number(t, "SEED"), number(t, "STATES")
	n := &ipvs.Netlink{}
	defer n.Close()
	r := rand.New(rand.NewPCG(seed, 5))
	kept := ipvstest.Dicom()
	id := genl.ByMark(kept.Mark, false)
	before, changed := settled(t), 0
	if !carried.MatchString(before) {
		t.Fatalf("no service of others has counted a connection, the sample is empty:\n%s", before)
	}
	for state := range states {
		wanted := slices.DeleteFunc(ipvstest.Wanted(r), func(s model.VirtualService) bool { return s.Mark == kept.Mark })
		mess := slices.DeleteFunc(ipvstest.Before(t, r, wanted), func(c genl.Change) bool {
			removal := c.Command == genl.DelDest || c.Command == genl.DelService
			return !isOurs(strconv.Itoa(int(c.Service.Mark))) || removal && c.Service.ServiceID == id
		})
		for _, err := range n.Apply(t.Context(), append(mess, disturb(r, id)...)) {
			if err == nil {
				changed++
			}
		}
		if err := ipvs.New(ipvs.Config{Kernel: n}).Set(t.Context(), append(wanted, kept)); err != nil {
			t.Fatalf("seed %d, state %d: %v", seed, state, err)
		}
		if after := others(t); after != before {
			t.Fatalf("seed %d, state %d: services of others were\n%s\nand are\n%s", seed, state, before, after)
		}
	}
	if changed == 0 {
		t.Error("nothing was changed before, the sample is empty")
	}
	if err := ipvs.New(ipvs.Config{Kernel: n}).Set(t.Context(), []model.VirtualService{kept}); err != nil {
		t.Fatal(err)
	}
}

// disturb changes everything of the service with the connections but that it has its server: settings,
// the server's weight and way, other servers.
func disturb(r *rand.Rand, id genl.ServiceID) []genl.Change {
	s := genl.Service{ServiceID: id, Scheduler: []string{"rr", "wlc", "sh"}[r.IntN(3)], PrefixLength: 32}
	server := func(address string) genl.Destination {
		return genl.Destination{
			Address: netip.MustParseAddrPort(address + ":0"), Weight: r.IntN(100),
			Forward: []genl.Forward{genl.DirectRoute, genl.Masquerade, genl.Tunnel}[r.IntN(3)],
		}
	}
	return []genl.Change{
		{Command: genl.SetService, Service: s},
		{Command: genl.SetDest, Service: s, Destination: server("192.0.2.11")},
		{Command: genl.NewDest, Service: s, Destination: server(fmt.Sprintf("192.0.2.%d", 13+r.IntN(4)))},
	}
}

// settled is what others shows once it stands still: the kernel sums up every two seconds.
func settled(t *testing.T) string {
	t.Helper()
	last := others(t)
	for range 20 {
		time.Sleep(3 * time.Second)
		now := others(t)
		if now == last {
			return now
		}
		last = now
	}
	t.Fatalf("services of others do not come to rest:\n%s", last)
	return ""
}

// carried is a service of others that has carried connections and packets.
var carried = regexp.MustCompile(`counts TCP \S+ [1-9]\d* [1-9]`)

func number(t *testing.T, variable string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(os.Getenv(variable), 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}
