//go:build machine

package insideipvs

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/procfs"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/e2e/suite"
)

func scaleMark(i int) uint32 { return 0x54000000 + uint32(i) + 1 }

var scaleServers = [2]netip.AddrPort{netip.MustParseAddrPort("192.0.2.11:0"), netip.MustParseAddrPort("192.0.2.12:0")}

// scaleChanges are what makes the services.
func scaleChanges(scale int) []genl.Change {
	var all []genl.Change
	for i := range scale {
		s := plain(genl.ByMark(scaleMark(i), false), "wlc")
		all = append(all, genl.Change{Command: genl.NewService, Service: s})
		for _, address := range scaleServers {
			d := genl.Destination{Address: address, Forward: genl.DirectRoute, Weight: 1}
			all = append(all, genl.Change{Command: genl.NewDest, Service: s, Destination: d})
		}
	}
	return all
}

func scaleLines(scale int) string {
	var b strings.Builder
	for i := range scale {
		fmt.Fprintf(&b, "-A -f %d -s wlc\n", scaleMark(i))
		for _, address := range scaleServers {
			fmt.Fprintf(&b, "-a -f %d -r %s -g -w 1\n", scaleMark(i), address)
		}
	}
	return b.String()
}

// TestScale makes many services in two ways and reads them back in three. It prints times; only
// what is made has to be right.
func TestScale(t *testing.T) {
	services, err := suite.Number("SCALE_SERVICES", 1000)
	suite.Must(t, err)
	scale := int(services)
	c := client(t)
	makeInTwoWays(t, c, max(1, scale/10), 3)
	makeInTwoWays(t, c, scale, 1)
	must(t, c, scaleChanges(scale)...)
	readBack(t, c, scale)
}

// makeInTwoWays interleaves the ways, so that whatever else the machine does hits all.
func makeInTwoWays(t *testing.T, c *genl.Client, scale, rounds int) {
	t.Helper()
	ways := []struct {
		name string
		make func()
	}{
		{"Apply", func() { must(t, c, scaleChanges(scale)...) }},
		{"ipvsadm -R", func() { restore(t, scale) }},
	}
	times := make([][]time.Duration, len(ways))
	for round := range rounds {
		for i, way := range ways {
			begin := time.Now()
			way.make()
			times[i] = append(times[i], time.Since(begin))
			if n := destinationsOf(table(t)); n != 2*scale {
				t.Errorf("%s: %d destinations, want %d", way.name, n, 2*scale)
			}
			if round == 0 {
				checkScale(t, way.name, scale)
			}
			netnstest.Run(t, "ipvsadm", "-C")
		}
	}
	for i, way := range ways {
		slices.Sort(times[i])
		t.Logf("%d services x 2: %-22s median %6.2f s of %v", scale, way.name, times[i][rounds/2].Seconds(), times[i])
	}
}

// checkScale has ipvsadm as the witness that all is there.
func checkScale(t *testing.T, way string, scale int) {
	t.Helper()
	got := strings.Split(netnstest.Run(t, "ipvsadm", "-S", "-n"), "\n")
	want := strings.Split(scaleLines(scale), "\n")
	for i := range got {
		got[i] = strings.TrimSpace(got[i])
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: ipvsadm sees %d lines, want %d", way, len(got), len(want))
	}
}

func restore(t *testing.T, scale int) {
	t.Helper()
	cmd := exec.CommandContext(bounded(t), "ipvsadm", "-R")
	cmd.Stdin = strings.NewReader(scaleLines(scale))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ipvsadm -R: %v\n%s", err, out)
	}
}

func readBack(t *testing.T, c *genl.Client, scale int) {
	t.Helper()
	clock := func(name string, read func() int, want int) {
		begin := time.Now()
		if n := read(); n != want {
			t.Errorf("%s: %d, want %d", name, n, want)
		}
		t.Logf("read back: %-44s %6.2f s", name, time.Since(begin).Seconds())
	}
	var services []genl.Service
	for range 2 {
		clock("services, one dump", func() int {
			var err error
			if services, err = c.Services(bounded(t)); err != nil {
				t.Fatal(err)
			}
			return len(services)
		}, scale)
		clock("services and destinations, /proc", func() int { return destinationsOf(table(t)) }, 2*scale)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	clock("destinations, one dump for each service", func() (n int) {
		for _, s := range services {
			found, err := c.Destinations(ctx, s.ServiceID)
			if err != nil {
				t.Fatal(err)
			}
			n += len(found)
		}
		return n
	}, 2*scale)
}

func destinationsOf(services []procfs.Service) (n int) {
	for _, s := range services {
		n += len(s.Destinations)
	}
	return n
}
