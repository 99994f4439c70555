//go:build machine

package inside

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/announce"
	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif"
	"github.com/truepacs/balancer/dataplane/nft"
	"github.com/truepacs/balancer/dataplane/realserver"
)

// TestApply makes the host what the file named by NODE says, through all drivers in the order of
// an agent, and leaves it so: the tests of package drivers then look at it from outside. Without
// NODE it applies an empty node.
func TestApply(t *testing.T) {
	var node model.Node
	if path := os.Getenv("NODE"); path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &node); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	kernel := &ipvs.Netlink{}
	defer kernel.Close()
	settings := ipvs.Config{Kernel: kernel}
	if record := os.Getenv("RECORD"); record != "" {
		settings.RecordPath = record + ".ipvs"
	}
	balancer := ipvs.New(settings)
	check(t, balancer.Set(ctx, node.Services))
	check(t, balancer.SetSettings(ctx, model.IPVSTimeouts{TCP: time.Hour}))
	check(t, nft.New(nft.Config{Kernel: nft.Netfilter{}}).Set(ctx, nft.Desired{Services: node.Services}))
	check(t, netif.New(netif.Rtnetlink{}).Set(ctx, node.VirtualIPs))
	announcer := announce.New(announce.Config{Network: announce.Sockets{}})
	defer announcer.Close()
	check(t, announcer.Set(ctx, node.VirtualIPs))
	servers := realserver.New(realserver.Config{Kernel: netif.Rtnetlink{}, Sysctls: realserver.Rtnetlink{}, RecordPath: os.Getenv("RECORD")})
	check(t, servers.Set(ctx, node.RealServer))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
