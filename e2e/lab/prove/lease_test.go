package prove_test

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/lab/pcap"
)

const (
	leaseRounds  = 20
	killRounds   = 10
	leaseTimeout = 300 * time.Millisecond
	leasePeriod  = 50 * time.Millisecond
	// leaseSlack is what the verdict allows beyond the timeout for a machine that is
	// emulated on a loaded host; the measured figures are logged.
	leaseSlack   = 2 * time.Second
	frameTries   = 20
	naiveLives   = 10
	stressRounds = 600
)

// leaseTable answers for addresses in "vips" only while they are in "owned".
const leaseTable = `table arp lease {
  set vips { type ipv4_addr; elements = { ` + vip + ` }; }
  set owned { type ipv4_addr; flags timeout; }
  chain out { type filter hook output priority 0; policy accept; arp saddr ip @vips arp saddr ip != @owned drop; }
}`

func leaseWorld(t *testing.T) world {
	t.Helper()
	w := newWorld(t)
	run(t, w.director, "ip", "addr", "add", vip+"/32", "dev", nic)
	run(t, w.director, "nft", leaseTable)
	return w
}

func startLease(t *testing.T, h lab.Host, more ...string) *lab.Process {
	t.Helper()
	argv := with(onlyNetAdmin, "probe", "lease", "-address", vip, "-timeout", leaseTimeout.String(), "-period", leasePeriod.String())
	p, err := h.Start(t.Context(), lab.ProcessSpec{Argv: append(argv, more...)})
	must(t, err)
	return p
}

// TestProveLease: the address answers while the lease is renewed and falls silent
// by itself when the process that renews is stopped or killed.
func TestProveLease(t *testing.T) {
	w := leaseWorld(t)
	watch := newWatcher(t, w.client, vip)
	watch.awaitSilence(t)
	if watch.lastReply() != (time.Time{}) {
		t.Fatal("the address answers though nobody owns it")
	}
	var stopped, resumed []time.Duration
	longest := time.Duration(0)
	p := startLease(t, w.director)
	for round := range leaseRounds {
		watch.awaitReply(t)
		gap, answers := held(watch)
		longest = max(longest, gap)
		if answers == 0 {
			t.Errorf("round %d: no answer while the lease is held", round)
		}
		at := time.Now()
		must(t, p.Signal(syscall.SIGSTOP))
		stopped = append(stopped, watch.awaitSilence(t).Sub(at))
		at = time.Now()
		must(t, p.Signal(syscall.SIGCONT))
		resumed = append(resumed, watch.awaitReply(t).Sub(at))
	}
	var killed []time.Duration
	for range killRounds {
		at := time.Now()
		must(t, p.Kill())
		killed = append(killed, watch.awaitSilence(t).Sub(at))
		p = startLease(t, w.director)
		watch.awaitReply(t)
	}
	for _, late := range append(slices.Clone(stopped), killed...) {
		if late > leaseTimeout+leaseSlack {
			t.Errorf("the last answer came %s after the owner was gone", late)
		}
	}
	verdict(t, leaseRounds+killRounds, "lease %s renewed every %s: last answer after SIGSTOP %s; after SIGKILL %s; first answer after SIGCONT %s; longest pause between answers while held %s (asked every %s)",
		leaseTimeout, leasePeriod, spread(stopped), spread(killed), spread(resumed), longest.Round(time.Millisecond), askPeriod)
}

// held watches for longer than the lease lives without renewal.
func held(watch *watcher) (time.Duration, int) {
	watch.resetGap()
	time.Sleep(leaseTimeout + 2*leasePeriod)
	return watch.longestGap()
}

// spread shows a sample.
func spread(sample []time.Duration) string {
	sorted := slices.Sorted(slices.Values(sample))
	ms := func(i int) string { return sorted[i].Round(time.Millisecond).String() }
	return fmt.Sprintf("min %s median %s max %s", ms(0), ms(len(sorted)/2), ms(len(sorted)-1))
}

// TestProveLeaseRenewal: to add the element again does not renew it; add, delete,
// add in one transaction does. It may be refused in the instant of the expiry and
// works when repeated at once.
func TestProveLeaseRenewal(t *testing.T) {
	w := leaseWorld(t)
	watch := newWatcher(t, w.client, vip)
	naive := startLease(t, w.director, "-add-only")
	pauses := 0
	watch.awaitReply(t)
	for range naiveLives {
		watch.resetGap()
		time.Sleep(leaseTimeout + 2*leasePeriod)
		if gap, _ := watch.longestGap(); gap > 4*askPeriod {
			pauses++
		}
	}
	must(t, naive.Kill())
	if _, err := naive.Wait(); err != nil {
		t.Fatal(err)
	}
	if pauses == 0 {
		t.Error("add alone renews: the transaction of three is not needed on this kernel")
	}
	stress := with(onlyNetAdmin, "probe", "lease-stress", "-rounds")
	output := run(t, w.director, append(stress, fmt.Sprint(stressRounds))...)
	t.Logf("around the moment of expiry: %s", output)
	t.Logf("with many expired copies of one address: %s", run(t, w.director, append(stress, "200", "-one-address")...))
	verdict(t, stressRounds, "add, delete, add in one transaction, repeated when refused, always renews (add alone left pauses in %d of %d lives)", pauses, naiveLives)
}

// TestProveLeaseCoversKernelFrames: without a lease the kernel sends no ARP frame at
// all with the address as sender, be it a reply, a request or a gratuitous one; a
// packet socket is not covered, so who writes frames himself must look at the lease.
func TestProveLeaseCoversKernelFrames(t *testing.T) {
	w := leaseWorld(t)
	run(t, w.director, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/eth0/arp_notify")
	requests := fmt.Sprintf(`for i in $(seq 1 %d); do ping -c 1 -W 1 -I %s 192.0.2.$((200+i)) & done; wait; ip neigh flush dev eth0`, frameTries, vip)
	gratuitous := fmt.Sprintf(`for i in $(seq 1 %d); do ip link set eth0 down; ip link set eth0 up; done`, frameTries)
	ownFrames := fmt.Sprintf(`arping -U -c %d -w 60 -I eth0 -s %s %s`, 3, vip, vip)
	cases := []struct {
		name, script string
		owned        bool
		want         func(int) bool
	}{
		{"requests without lease", requests, false, func(n int) bool { return n == 0 }},
		{"requests with lease", requests, true, func(n int) bool { return n >= frameTries }},
		{"gratuitous without lease", gratuitous, false, func(n int) bool { return n == 0 }},
		{"gratuitous with lease", gratuitous, true, func(n int) bool { return n >= frameTries }},
		{"packet socket without lease", ownFrames, false, func(n int) bool { return n >= 3 }},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if tc.owned {
				run(t, w.director, "nft", "add element arp lease owned { "+vip+" timeout 1h }")
			} else {
				run(t, w.director, "nft", "flush set arp lease owned")
			}
			count := framesFromVIP(t, w, tc.script)
			if !tc.want(count) {
				t.Errorf("%d frames with the address as sender", count)
			}
			t.Logf("%d frames with the address as sender", count)
		})
	}
	verdict(t, 2*frameTries, "ARP requests and gratuitous ARP of the kernel follow the lease; packet sockets do not")
}

// framesFromVIP runs a script and counts the director's ARP frames that have the
// VIP as sender.
func framesFromVIP(t *testing.T, w world, script string) int {
	t.Helper()
	c, err := w.director.Capture(t.Context(), nic, "arp")
	must(t, err)
	_, _ = try(t, w.director, "sh", "-c", script)
	frames, err := c.Frames()
	must(t, err)
	count := 0
	for _, f := range frames {
		if f.EtherType == pcap.EtherARP && f.Source.String() == vip && f.SourceMAC.String() == w.director.MAC(nic) {
			count++
		}
	}
	return count
}

// TestProveLeaseAcrossFreeze shows a limit: the kernel counts a lease's life in its
// own time, which stands still while a hypervisor has stopped the machine. The rest
// of the lease is lived after the machine goes on; then it falls silent as ever.
func TestProveLeaseAcrossFreeze(t *testing.T) {
	w := leaseWorld(t)
	watch := newWatcher(t, w.client, vip)
	p := startLease(t, w.director)
	const rounds = 8
	var after []time.Duration
	for range rounds {
		watch.awaitReply(t)
		must(t, p.Signal(syscall.SIGSTOP))
		must(t, w.director.Freeze(t.Context()))
		watch.awaitSilence(t)
		thawed := time.Now()
		must(t, w.director.Thaw(t.Context()))
		after = append(after, max(0, watch.awaitSilence(t).Sub(thawed)))
		must(t, p.Signal(syscall.SIGCONT))
	}
	for _, rest := range after {
		if rest > leaseTimeout+leaseSlack {
			t.Errorf("answered %s after the machine went on", rest)
		}
	}
	verdict(t, rounds, "frozen for %s or more with its owner stopped, the machine answers for the rest of the lease: %s, then never", silence, spread(after))
}
