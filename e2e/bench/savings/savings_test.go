package savings

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/truepacs/balancer/e2e/flow"
	"github.com/truepacs/balancer/e2e/suite"
)

const (
	// connections are open at once.
	connections = 4
	// replyBytes is the size of a CT image.
	replyBytes = 512 << 10
	// idleFor is how long the director is watched without traffic in each round: twice the time in
	// which it looks at itself and its servers.
	idleFor = 10 * time.Second
)

// plan is a small run; make bench-l4 makes a full one.
func plan(t *testing.T) (p suite.Plan, mebibytes int) {
	t.Helper()
	p, err := suite.Plan{Name: "SAVINGS", Unit: "ROUNDS", Seed: 8, Count: 2}.Read()
	suite.Must(t, err)
	n, err := suite.Number("SAVINGS_MIB", 8)
	suite.Must(t, err)
	return p, int(n)
}

// TestSavings retrieves the same number of bytes through each mode at each ratio, in turns that
// change with the round, and prints what the director handles for a gigabyte. Its verdict is on
// bytes and packets; times are printed only.
func TestSavings(t *testing.T) {
	p, mebibytes := plan(t)
	w := newWorld(t)
	var all Samples
	p.Round(t, func(n uint64) {
		idle := w.idle()
		for _, ratio := range Ratios() {
			for _, m := range suite.Shuffled(p, n, Modes()) {
				all = append(all, w.sample(m, ratio, p, n, mebibytes, idle))
			}
		}
	})
	var out strings.Builder
	all.Print(&out)
	t.Logf("per GB (10^9 bytes) retrieved, medians of %d rounds of %d MiB in replies of %d KiB on %d connections; seed %d, kernel %s\n%s",
		p.Count, mebibytes, replyBytes>>10, connections, p.Seed, w.director.Kernel(), out.String())
	for _, ratio := range Ratios() {
		t.Log(all.claim(ratio))
	}
	if err := all.Verdict(p.Count); err != nil {
		t.Fatalf("verdict: FAILED: %v", err)
	}
	t.Logf("verdict: held: %d samples, every byte arrived; at each ratio answers do not pass through the director with direct routing and tunnels, and do with NAT, SNAT and layer 7", len(all))
}

// claim sets what was measured beside what the product page says.
func (all Samples) claim(ratio int) string {
	f := figures()
	said := ""
	if ratio > 1 {
		said = fmt.Sprintf(" (the product page says %d)", ratio)
	}
	cpu := "processor time is too little to be compared"
	if n := all.times(NAT, ratio, f["processor, by threads"]); n > 0 {
		cpu = fmt.Sprintf("%.1f times the processor time", n)
	}
	return fmt.Sprintf("%d bytes of reply per byte of request: with NAT the director handles %.1f times the bytes that it handles with direct routing%s, %.1f times the packets; %s",
		ratio, all.times(NAT, ratio, f["bytes"]), said, all.times(NAT, ratio, f["packets"]), cpu)
}

// reading is what is read before and after.
type reading struct {
	at                time.Time
	guest, host       Wire
	guestCPU, hostCPU time.Duration
}

func (w *world) read() reading {
	w.t.Helper()
	r := reading{at: time.Now()}
	stat, err := w.director.Get(w.t.Context(), "/proc/stat")
	suite.Must(w.t, err)
	devices, err := w.director.Get(w.t.Context(), "/proc/net/dev")
	suite.Must(w.t, err)
	var errs [4]error
	r.guestCPU, errs[0] = readBusy(stat)
	r.guest, errs[1] = readWire(devices, "eth0", "eth1")
	r.hostCPU, errs[2] = w.host.cpu()
	r.host, errs[3] = w.host.wire()
	suite.Must(w.t, errors.Join(errs[:]...))
	return r
}

// since is what came after a reading, without what an idle director spends in that time.
func (r reading) since(earlier reading, idle baseline) Sample {
	took := r.at.Sub(earlier.at)
	return Sample{
		Took: took, Guest: r.guest.Minus(earlier.guest), Host: r.host.Minus(earlier.host),
		GuestCPU: r.guestCPU - earlier.guestCPU - time.Duration(idle.guest*float64(took)),
		HostCPU:  r.hostCPU - earlier.hostCPU - time.Duration(idle.host*float64(took)),
	}
}

// baseline is the share of a processor that the director uses when idle.
type baseline struct{ guest, host float64 }

func (w *world) idle() baseline {
	w.t.Helper()
	before := w.read()
	time.Sleep(idleFor)
	s := w.read().since(before, baseline{})
	idle := baseline{s.GuestCPU.Seconds() / s.Took.Seconds(), s.HostCPU.Seconds() / s.Took.Seconds()}
	w.t.Logf("idle: %.1f %% of a processor, %.1f %% by threads; %.0f bytes and %.0f packets in %s",
		100*idle.guest, 100*idle.host, s.Guest.Bytes, s.Guest.Packets, s.Took.Round(time.Millisecond))
	return idle
}

// sample retrieves and measures.
func (w *world) sample(m Mode, ratio int, p suite.Plan, round uint64, mebibytes int, idle baseline) Sample {
	w.t.Helper()
	each := flow.Retrieval{
		Requests: max(1, mebibytes<<20/replyBytes/connections), RequestBytes: int64(replyBytes / ratio), ReplyBytes: replyBytes,
	}
	before := w.read()
	got, err := w.retrieve(m, each, p.SeedOf(round))
	if err != nil {
		w.explain()
		w.t.Fatalf("%s at %d:1, round %d: %v", m, ratio, round, err)
	}
	s := w.read().since(before, idle)
	s.Mode, s.Ratio, s.Round, s.Retrieved = m, ratio, round, got
	s.Requested = int64(connections*each.Requests) * each.RequestBytes
	return s
}

// retrieve returns how many bytes arrived and were right.
func (w *world) retrieve(m Mode, each flow.Retrieval, seed uint64) (int64, error) {
	group, ctx := errgroup.WithContext(context.WithoutCancel(w.t.Context()))
	var got [connections]int64
	for i := range got {
		group.Go(func() (err error) {
			each := each
			each.Seed = seed<<32 + uint64(i)<<24
			got[i], err = flow.Retrieve(ctx, w.dial(m), each)
			return err
		})
	}
	err := group.Wait()
	return got[0] + got[1] + got[2] + got[3], err
}
