//go:build machine

package inside

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// many returns services of two servers. Of every fifth the first server is the same.
func many(n int) []model.VirtualService {
	all := make([]model.VirtualService, n)
	for i := range all {
		all[i] = model.VirtualService{
			Key: fmt.Sprint("imaging/many/", i), Mark: 0x54000001 + uint32(i), Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.100")},
			Protocol: model.TCP, Ports: []uint16{104}, Forwarding: model.DirectRouting, Scheduler: model.WeightedLeastConnection,
			Persistence: &model.Persistence{Timeout: 5 * time.Minute, PrefixLength: 32},
			Servers: []model.RealServer{
				{Name: "pacs-a", Address: netip.MustParseAddr("192.0.2.11"), Weight: 1},
				{Name: "pacs-b", Address: netip.MustParseAddr("192.0.2.12"), Weight: 1},
			},
		}
		if i%5 == 0 {
			all[i].Servers[0].Address = netip.MustParseAddr("192.0.2.13")
		}
	}
	return all
}

// meter runs something and says how long it took and what was sent.
type meter struct {
	t      *testing.T
	kernel *ipvs.Netlink
}

func (m meter) run(name string, do func() error) (time.Duration, genl.Counts) {
	m.t.Helper()
	before, begin := m.kernel.Counts(), time.Now()
	if err := do(); err != nil {
		m.t.Fatalf("%s: %v", name, err)
	}
	took, after := time.Since(begin), m.kernel.Counts()
	sent := genl.Counts{Sends: after.Sends - before.Sends, Writes: after.Writes - before.Writes}
	m.t.Logf("%-44s %8.3f s, %5d sendmsg, %4d of them write", name, took.Seconds(), sent.Sends, sent.Writes)
	return took, sent
}

// TestResync has 10,000 services of two servers, beside ipvsadm. It prints times; only what is
// written has to be right.
func TestResync(t *testing.T) {
	k := kernel(t).(*ipvs.Netlink)
	m := meter{t, k}
	all := many(10_000)
	driver := ipvs.New(ipvs.Config{Kernel: k})
	set := func() error { return driver.Set(t.Context(), all) }
	m.run("first programming", set)
	saved := netnstest.Run(t, "ipvsadm", "-S", "-n")
	if got := strings.Count(saved, "\n"); got != 30_000 {
		t.Fatalf("ipvsadm sees %d lines, want 30000", got)
	}
	var text []byte
	dumps := []time.Duration{}
	resyncs := []time.Duration{}
	for range 3 {
		took, _ := m.run("one dump for each service", func() error { return dumpEach(t.Context(), k) })
		dumps = append(dumps, took)
		m.run("the file alone, not looked at", func() (err error) {
			text, err = k.Table(t.Context(), text[:0])
			return err
		})
		for range 3 {
			took, sent := m.run("no-change resync", set)
			resyncs = append(resyncs, took)
			if sent.Writes != 0 {
				t.Errorf("a resync without change wrote %d times", sent.Writes)
			}
		}
	}
	slices.Sort(dumps)
	slices.Sort(resyncs)
	t.Logf("median: one dump for each service %.3f s, resync %.3f s: 1/%.0f; fastest of both: %.3f s, %.3f s: 1/%.0f",
		dumps[1].Seconds(), resyncs[4].Seconds(), float64(dumps[1])/float64(resyncs[4]),
		dumps[0].Seconds(), resyncs[0].Seconds(), float64(dumps[0])/float64(resyncs[0]))
	for i := range all {
		if i%5 == 0 {
			all[i].Servers[0].Weight = 0
		}
	}
	if _, sent := m.run("one server of 2,000 services down", set); sent.Writes > 20 {
		t.Errorf("%d writes, want at most 20", sent.Writes)
	}
	if got := strings.Count(netnstest.Run(t, "ipvsadm", "-S", "-n"), "192.0.2.13:0 -g -w 0\n"); got != 2000 {
		t.Errorf("ipvsadm sees %d servers without weight, want 2000", got)
	}
	for range 21 { // with the ten before, every 32nd has the list
		if err := set(); err != nil {
			t.Fatal(err)
		}
	}
	m.run("a resync with the list of services", set)
	m.run("a new driver adopts all", func() error { return ipvs.New(ipvs.Config{Kernel: k}).Set(t.Context(), all) })
	m.run("all services go", func() error { return driver.Set(t.Context(), nil) })
	m.run("ipvsadm -R of the same", func() error {
		cmd := exec.CommandContext(t.Context(), "ipvsadm", "-R")
		cmd.Stdin = strings.NewReader(saved)
		return cmd.Run()
	})
}

func dumpEach(ctx context.Context, k ipvs.Kernel) error {
	services, err := k.Services(ctx)
	for _, s := range services {
		if _, err := k.Destinations(ctx, s.ServiceID); err != nil {
			return err
		}
	}
	return err
}
