//go:build machine

package inside

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/e2e/suite"
)

// shared is the server that about every fifth service has for its first.
var shared = netip.MustParseAddr("192.0.2.13")

// many returns services of two servers; the seed says which have the shared one.
func many(n int, seed uint64) []model.VirtualService {
	random := rand.New(rand.NewPCG(seed, 0))
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
		if i == 0 || random.IntN(5) == 0 {
			all[i].Servers[0].Address = shared
		}
	}
	return all
}

// asked are the services that the environment asks for.
func asked(t testing.TB) []model.VirtualService {
	t.Helper()
	p, err := suite.Plan{Name: "SCALE", Unit: "SERVICES", Seed: 30, Count: 1000}.Read()
	if err != nil {
		t.Fatal(err)
	}
	return many(int(p.Count), p.Seed)
}

// sharedDown takes the shared server's weight in all services and returns in how many.
func sharedDown(all []model.VirtualService) (n int) {
	for i := range all {
		if all[i].Servers[0].Address == shared {
			all[i].Servers[0].Weight = 0
			n++
		}
	}
	return n
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

// scene is a kernel with many services.
type scene struct {
	meter
	driver *ipvs.Driver
	all    []model.VirtualService
	saved  string // as ipvsadm -S prints them
}

func (s *scene) set() error { return s.driver.Set(s.t.Context(), s.all) }

// TestResync has many services of two servers, beside ipvsadm. It prints times; only what is
// written has to be right.
func TestResync(t *testing.T) {
	k := kernel(t).(*ipvs.Netlink)
	s := &scene{meter: meter{t, k}, driver: ipvs.New(ipvs.Config{Kernel: k}), all: asked(t)}
	s.run("first programming", s.set)
	s.saved = netnstest.Run(t, "ipvsadm", "-S", "-n")
	if got, want := strings.Count(s.saved, "\n"), 3*len(s.all); got != want {
		t.Fatalf("ipvsadm sees %d lines, want %d", got, want)
	}
	s.compare()
	s.serverDown()
	for range 32 { // every 32nd has the list
		if err := s.set(); err != nil {
			t.Fatal(err)
		}
	}
	s.run("a new driver adopts all", func() error { return ipvs.New(ipvs.Config{Kernel: k}).Set(t.Context(), s.all) })
	s.run("all services go", func() error { return s.driver.Set(t.Context(), nil) })
	s.restore("ipvsadm -R of the same", s.saved)
	s.restore("ipvsadm -R of one server down", s.edits())
}

// target is how many times as long as a resync one dump for each service shall take at least. It is
// also in how many parts the services are dumped, so that a part takes about as long as a resync.
const target = 30

// rounds of compare.
const rounds = 5

// compare sets a resync without change beside one dump for each service. They take turns part by
// part: what else the machine does hits both.
func (s *scene) compare() {
	s.t.Helper()
	var ratios, shares []float64
	before := s.kernel.Counts()
	for range rounds {
		dump, resync, file := s.round()
		ratios = append(ratios, dump.Seconds()/resync.Seconds())
		shares = append(shares, file.Seconds()/resync.Seconds())
		s.t.Logf("one dump for each service %.3f s, a resync without change %.3f s: 1/%.1f; the file alone, not looked at %.3f s",
			dump.Seconds(), resync.Seconds(), dump.Seconds()/resync.Seconds(), file.Seconds())
	}
	if n := s.kernel.Counts().Writes - before.Writes; n != 0 {
		s.t.Errorf("resyncs without change wrote %d times", n)
	}
	slices.Sort(ratios)
	slices.Sort(shares)
	verdict := "held"
	if ratios[rounds/2] < target {
		verdict = "MISSED"
	}
	s.t.Logf("%d services x 2: a resync without change takes 1/%.1f of one dump for each service, median of %d rounds of %d resyncs (%.1f to %.1f); the kernel's printing of the file is %.0f %% of it; zero writes; at most 1/%d: %s",
		len(s.all), ratios[rounds/2], rounds, target, ratios[0], ratios[rounds-1], 100*shares[rounds/2], target, verdict)
}

// round returns the time of one dump for each service, and the means of a resync and of reading the
// file.
func (s *scene) round() (dump, resync, file time.Duration) {
	s.t.Helper()
	var services []genl.Service
	var text []byte
	dump = s.clock(func() (err error) {
		services, err = s.kernel.Services(s.t.Context())
		return err
	})
	if len(services) != len(s.all) {
		s.t.Fatalf("%d services, want %d", len(services), len(s.all))
	}
	for i := range target {
		part := services[len(services)*i/target : len(services)*(i+1)/target]
		dump += s.clock(func() error { return s.dumpEach(part) })
		resync += s.clock(s.set)
		file += s.clock(func() (err error) {
			text, err = s.kernel.Table(s.t.Context(), text[:0])
			return err
		})
	}
	return dump, resync / target, file / target
}

// clock is run without a line in the log.
func (s *scene) clock(do func() error) time.Duration {
	s.t.Helper()
	begin := time.Now()
	if err := do(); err != nil {
		s.t.Fatal(err)
	}
	return time.Since(begin)
}

func (s *scene) dumpEach(services []genl.Service) error {
	for _, one := range services {
		if _, err := s.kernel.Destinations(s.t.Context(), one.ServiceID); err != nil {
			return err
		}
	}
	return nil
}

// serverDown takes the shared server down everywhere: few requests do.
func (s *scene) serverDown() {
	s.t.Helper()
	down := sharedDown(s.all)
	if _, sent := s.run(fmt.Sprintf("one server of %d services down", down), s.set); sent.Writes > uint64(2+down/100) {
		s.t.Errorf("%d writes, want at most %d", sent.Writes, 2+down/100)
	}
	if got := strings.Count(netnstest.Run(s.t, "ipvsadm", "-S", "-n"), shared.String()+":0 -g -w 0\n"); got != down {
		s.t.Errorf("ipvsadm sees %d servers without weight, want %d", got, down)
	}
}

// edits is what ipvsadm reads to take the shared server down.
func (s *scene) edits() string {
	var b strings.Builder
	for i := range s.all {
		if s.all[i].Servers[0].Address == shared {
			fmt.Fprintf(&b, "-e -f %d -r %s:0 -g -w 0\n", s.all[i].Mark, shared)
		}
	}
	return b.String()
}

func (s *scene) restore(name, text string) {
	s.t.Helper()
	s.run(name, func() error {
		cmd := exec.CommandContext(s.t.Context(), "ipvsadm", "-R")
		cmd.Stdin = strings.NewReader(text)
		return cmd.Run()
	})
}

// TestResyncTraced is for strace: it opens files that are not there where resyncs begin and end.
func TestResyncTraced(t *testing.T) {
	all := asked(t)
	driver, _ := programmed(t, all)
	_, _ = os.Open("/resync-begins")
	for range 3 {
		if err := driver.Set(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = os.Open("/resync-ends")
}

// programmed is a driver that has done its work, on a kernel of its own.
func programmed(t testing.TB, all []model.VirtualService) (*ipvs.Driver, *ipvs.Netlink) {
	t.Helper()
	k := kernel(t).(*ipvs.Netlink)
	driver := ipvs.New(ipvs.Config{Kernel: k})
	if err := driver.Set(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	return driver, k
}

// BenchmarkResync has 10,000 services of two servers and finds nothing to do.
func BenchmarkResync(b *testing.B) {
	all := many(10_000, 30)
	driver, _ := programmed(b, all)
	b.ReportAllocs()
	for b.Loop() {
		if err := driver.Set(b.Context(), all); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTable is the kernel's part of BenchmarkResync.
func BenchmarkTable(b *testing.B) {
	_, k := programmed(b, many(10_000, 30))
	var text []byte
	var err error
	for b.Loop() {
		if text, err = k.Table(b.Context(), text[:0]); err != nil {
			b.Fatal(err)
		}
	}
}
