package health

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	hostA = "192.0.2.1"
	hostB = "192.0.2.2"
	portA = hostA + ":104"
)

var allowUnexported = cmp.AllowUnexported(change{})

func wantChanges(t *testing.T, l *lab, want ...change) {
	t.Helper()
	if diff := cmp.Diff(want, l.rec.take(), allowUnexported); diff != "" {
		t.Error(diff)
	}
}

// sleep lets fake time pass and everything settle.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestFirstResultDecides(t *testing.T) {
	cases := map[string]struct {
		initial Initial
		server  behaviour
		want    []change
	}{
		"unknown, up":     {InitiallyUnknown, accepts, []change{{"a", true, "", 0}}},
		"unknown, down":   {InitiallyUnknown, nil, []change{{"a", false, ConnectionRefused, 0}}},
		"unhealthy, up":   {InitiallyUnhealthy, accepts, []change{{"a", true, "", 0}}},
		"unhealthy, down": {InitiallyUnhealthy, nil, []change{{"a", false, ConnectionRefused, 0}}},
		"healthy, up":     {InitiallyHealthy, accepts, []change{{"a", true, "", 0}}},
		"healthy, down":   {InitiallyHealthy, nil, []change{{"a", true, NotYetChecked, 0}, {"a", false, ConnectionRefused, time.Second}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.net.set(portA, tc.server)
				target := tcpTarget("a", hostA, 104)
				target.Initial = tc.initial
				l.Set([]Target{target})
				sleep(2 * time.Second)
				got := l.rec.take()
				// The initial verdict may be told or overtaken by the first result.
				if len(got) > 1 && got[0].reason == NotYetChecked && len(tc.want) == 1 {
					got = got[1:]
				}
				if diff := cmp.Diff(tc.want, got, allowUnexported); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestInitialVerdicts(t *testing.T) {
	want := map[Initial]Verdict{
		InitiallyUnknown:   {},
		InitiallyHealthy:   {Healthy: true},
		InitiallyUnhealthy: {Known: true},
	}
	for initial, w := range want {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			l.net.set(portA, silent)
			target := tcpTarget("a", hostA, 104)
			target.Initial = initial
			l.Set([]Target{target})
			synctest.Wait()
			v := l.Verdicts()["a"]
			if v.Healthy != w.Healthy || v.Known != w.Known || v.Reason != NotYetChecked || v.Since.IsZero() {
				t.Errorf("initial %d: %+v", initial, v)
			}
		})
	}
}

// The promise of the defaults: the worst case after the last good probe.
func TestDetectionTime(t *testing.T) {
	cases := map[string]struct {
		dead   behaviour
		reason Reason
		within time.Duration
	}{
		"refused": {fails(syscall.ECONNREFUSED), ConnectionRefused, 3 * time.Second},
		"silent":  {silent, ConnectTimeout, 4500 * time.Millisecond},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.net.set(portA, accepts)
				l.Set([]Target{{Key: "a", Address: netip.MustParseAddr(hostA), Checks: []Check{{Type: TCP, Port: 104}}}})
				synctest.Wait()
				l.rec.take()
				l.net.set(portA, tc.dead)
				sleep(20 * time.Second)
				wantChanges(t, l, change{"a", false, tc.reason, tc.within})
				l.net.set(portA, accepts)
				sleep(10 * time.Second)
				// A probe may be under way until its timeout; then period and fast period.
				got := l.rec.take()
				if len(got) != 1 || !got[0].healthy || got[0].after > 24500*time.Millisecond {
					t.Errorf("recovery: %+v", got)
				}
			})
		})
	}
}

// With two checks on a silent host, taking turns would double the time to the verdict.
func TestDecidingCheckGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		for _, p := range []string{":104", ":80", ":443"} {
			l.net.set(hostA+p, accepts)
		}
		l.Set([]Target{tcpTarget("a", hostA, 104, 80, 443)})
		sleep(time.Second)
		l.rec.take()
		for _, p := range []string{":104", ":80", ":443"} {
			l.net.set(hostA+p, silent)
		}
		sleep(30 * time.Second)
		got := l.rec.take()
		if len(got) == 0 || got[0].healthy || got[0].after > 8500*time.Millisecond {
			t.Errorf("got %+v", got)
		}
		if most := l.net.peak(); most != DefaultFall {
			t.Errorf("%d connections to one target at a time", most)
		}
	})
}

func TestAllChecksMustPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.net.set(portA, accepts)
		l.Set([]Target{tcpTarget("a", hostA, 104, 80)})
		sleep(time.Second)
		v := l.Verdicts()["a"]
		want := "TCP connect to 192.0.2.1:80: the server refused the connection. The host is up, but nothing listens on port 80: " +
			"start the service there, or correct the port of the health check."
		if v.Healthy || !v.Known || v.Cause != TCP || v.Message != want {
			t.Errorf("%+v", v)
		}
		l.net.set(hostA+":80", accepts)
		sleep(6 * time.Second)
		if v := l.Verdicts()["a"]; !v.Healthy || v.Message != "" {
			t.Errorf("%+v", v)
		}
	})
}

func TestSetOfTheSameChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.net.set(portA, accepts)
		l.Set([]Target{tcpTarget("a", hostA, 104)})
		for range 100 {
			sleep(100 * time.Millisecond)
			target := tcpTarget("a", hostA, 104)
			target.Initial = InitiallyHealthy
			l.Set([]Target{target})
		}
		l.net.set(portA, nil)
		sleep(5*time.Second + 200*time.Millisecond) // the first failure, the second is 300 ms away
		l.Set([]Target{tcpTarget("a", hostA, 104)})
		sleep(time.Second)
		if n := len(l.net.attempts(portA)); n != 6 {
			t.Errorf("%d probes, want at 0, 5, 10, 15, 15.5 and 16 s", n)
		}
		if v := l.Verdicts()["a"]; v.Healthy {
			t.Errorf("the failures before Set were forgotten: %+v", v)
		}
	})
}

func TestChangedCheckKeepsTheVerdictUntilItDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.net.set(portA, accepts)
		l.Set([]Target{tcpTarget("a", hostA, 104)})
		sleep(time.Second)
		before := l.Verdicts()["a"]

		l.Set([]Target{tcpTarget("a", hostA, 105)}) // nothing listens there
		if diff := cmp.Diff(before, l.Verdicts()["a"]); diff != "" {
			t.Error("at once: ", diff)
		}
		sleep(700 * time.Millisecond)
		if !l.Verdicts()["a"].Healthy {
			t.Error("two failures of a new check took a healthy server out")
		}
		sleep(time.Second)
		down := l.Verdicts()["a"]
		if down.Healthy || down.Reason != ConnectionRefused {
			t.Errorf("after three failures: %+v", down)
		}

		l.net.set(hostA+":106", silent)
		l.Set([]Target{tcpTarget("a", hostA, 106)})
		sleep(time.Second)
		if diff := cmp.Diff(down, l.Verdicts()["a"]); diff != "" {
			t.Error("unhealthy and undecided: ", diff)
		}
		l.Set([]Target{tcpTarget("a", hostA, 104)})
		synctest.Wait()
		if !l.Verdicts()["a"].Healthy {
			t.Error("the corrected check passed and did not decide")
		}
	})
}

func TestChangedPaceKeepsTheCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.Set([]Target{tcpTarget("a", hostA, 104)}) // down
		sleep(time.Second)
		target := tcpTarget("a", hostA, 104)
		target.Checks[0].Period, target.Checks[0].Rise = time.Second, 4
		l.net.set(portA, accepts)
		l.Set([]Target{target})
		sleep(1400 * time.Millisecond)
		if l.Verdicts()["a"].Healthy {
			t.Error("up after three passes, Rise is 4")
		}
		sleep(200 * time.Millisecond)
		if !l.Verdicts()["a"].Healthy {
			t.Errorf("not up after four passes: %+v", l.Verdicts()["a"])
		}
	})
}

func TestRemovedCheckNoLongerCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.net.set(portA, accepts)
		l.Set([]Target{tcpTarget("a", hostA, 104, 80)})
		sleep(time.Second)
		l.rec.take()
		l.Set([]Target{tcpTarget("a", hostA, 104)})
		synctest.Wait()
		wantChanges(t, l, change{"a", true, "", time.Second})
	})
}

func TestAnotherAddressIsAnotherServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.net.set(portA, accepts)
		l.net.set(hostB+":104", silent)
		l.Set([]Target{tcpTarget("a", hostA, 104)})
		sleep(time.Second)
		l.Set([]Target{tcpTarget("a", hostB, 104)})
		if v := l.Verdicts()["a"]; v.Healthy || v.Known {
			t.Errorf("%+v", v)
		}
	})
}

func TestRemovedTargetStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.net.set(portA, silent)
		l.Set([]Target{tcpTarget("a", hostA, 104), tcpTarget("b", hostB, 104)})
		sleep(4 * time.Second)
		l.Set([]Target{tcpTarget("b", hostB, 104)})
		synctest.Wait()
		n := len(l.net.attempts(portA))
		if l.net.connections(hostA) != 0 {
			t.Error("a connection attempt is still under way")
		}
		l.rec.take()
		sleep(time.Minute)
		if len(l.net.attempts(portA)) != n || len(l.Verdicts()) != 1 || len(l.rec.take()) != 0 {
			t.Errorf("a removed target is still checked: %v", l.Verdicts())
		}
	})
}

// A server must never see two probes of ours at a time, not even while its checks are replaced.
func TestReplacedTargetLetsGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.net.set(portA, func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			time.Sleep(time.Second)
			return nil, ctx.Err()
		})
		l.net.set(hostA+":105", accepts)
		l.Set([]Target{tcpTarget("a", hostA, 104)})
		sleep(time.Second)
		l.Set([]Target{tcpTarget("a", hostA, 105)})
		sleep(5 * time.Second)
		if most := l.net.peak(); most != 1 || !l.Verdicts()["a"].Healthy {
			t.Errorf("%d probes at a time, %+v", most, l.Verdicts())
		}
	})
}

func TestSlowTargetDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		var targets []Target
		for i := range 50 {
			slow, quick := fmt.Sprintf("198.51.100.%d", i), fmt.Sprintf("203.0.113.%d", i)
			l.net.set(slow+":104", silent)
			l.net.set(quick+":104", accepts)
			targets = append(targets, tcpTarget(slow, slow, 104), tcpTarget(quick, quick, 104))
		}
		l.Set(targets)
		sleep(time.Minute)
		for i := range 50 {
			probes := l.net.attempts(fmt.Sprintf("203.0.113.%d:104", i))
			for j := 1; j < len(probes); j++ {
				if gap := probes[j].Sub(probes[j-1]); gap != 5*time.Second {
					t.Fatalf("gap of %v", gap)
				}
			}
			if len(probes) < 12 {
				t.Fatalf("%d probes in a minute", len(probes))
			}
		}
	})
}

func TestFirstProbesAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		var targets []Target
		for i := range 1000 {
			a := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String()
			targets = append(targets, tcpTarget(a, a, 104))
		}
		start := time.Now()
		l.Set(targets)
		sleep(4999 * time.Millisecond)
		buckets := map[int64]int{}
		for _, target := range targets {
			probes := l.net.attempts(target.Address.String() + ":104")
			if len(probes) != 1 || probes[0].Sub(start) > 5*time.Second {
				t.Fatalf("probes of %s: %v", target.Key, probes)
			}
			buckets[probes[0].Sub(start).Milliseconds()/100]++
		}
		for b, n := range buckets {
			if n > 40 {
				t.Errorf("%d of 1000 first probes within 100 ms at %d ms", n, b*100)
			}
		}
	})
}

// Running out of descriptors must not empty every pool.
func TestLocalFaultChangesNoVerdict(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.EADDRNOTAVAIL, syscall.EPERM} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			l.net.set(portA, accepts)
			l.Set([]Target{tcpTarget("a", hostA, 104), tcpTarget("b", hostB, 104)})
			sleep(time.Second)
			l.net.set(portA, fails(errno))
			l.net.set(hostB+":104", fails(errno))
			sleep(time.Minute)
			a, b := l.Verdicts()["a"], l.Verdicts()["b"]
			if !a.Healthy || a.Reason != LocalFault || b.Healthy || b.Reason != ConnectionRefused {
				t.Errorf("%v: %+v, %+v", errno, a, b)
			}
			l.net.set(portA, accepts)
			sleep(5 * time.Second)
			if a := l.Verdicts()["a"]; !a.Healthy || a.Reason != "" {
				t.Errorf("%+v", a)
			}
		})
	}
}

func TestInvalidCheckChangesNoVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.net.set(portA, accepts)
		l.Set([]Target{tcpTarget("a", hostA, 104)})
		sleep(time.Second)
		bad := tcpTarget("a", hostA, 104)
		bad.Checks = append(bad.Checks, Check{Type: DICOMEcho, Port: 104})
		l.Set([]Target{bad})
		sleep(time.Minute)
		if v := l.Verdicts()["a"]; !v.Healthy || v.Reason != InvalidCheck || v.Cause != DICOMEcho {
			t.Errorf("%+v", v)
		}
		l.net.set(portA, nil)
		sleep(10 * time.Second)
		if v := l.Verdicts()["a"]; v.Healthy {
			t.Errorf("%+v", v)
		}
		l.net.set(portA, accepts)
		sleep(10 * time.Second)
		if v := l.Verdicts()["a"]; !v.Healthy {
			t.Errorf("an invalid check holds a recovered server down: %+v", v)
		}
	})
}

func TestSinceIsWhenHealthChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		start := time.Now()
		l.Set([]Target{tcpTarget("a", hostA, 104)})
		sleep(time.Second)
		l.net.set(portA, fails(syscall.EHOSTUNREACH))
		sleep(10 * time.Second)
		if v := l.Verdicts()["a"]; v.Reason != NoRoute || !v.Since.Equal(start) {
			t.Errorf("another reason for being down: %+v", v)
		}
		l.net.set(portA, accepts)
		sleep(10 * time.Second)
		if v := l.Verdicts()["a"]; !v.Since.After(start.Add(10 * time.Second)) {
			t.Errorf("up since %v", v.Since.Sub(start))
		}
	})
}

func TestNoChecksIsHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.Set([]Target{tcpTarget("a", hostA)})
		synctest.Wait()
		wantChanges(t, l, change{"a", true, NoChecks, 0})
	})
}

func TestDuplicateKeyKeepsTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.net.set(portA, accepts)
		l.Set([]Target{tcpTarget("a", hostA, 104), tcpTarget("a", hostB, 104)})
		sleep(time.Second)
		if !l.Verdicts()["a"].Healthy || len(l.net.attempts(hostB+":104")) != 0 {
			t.Errorf("%+v", l.Verdicts())
		}
	})
}

func TestSlowReceiverGetsTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		n.set(portA, accepts)
		rec := &recorder{start: time.Now()}
		m := NewMonitor(Config{Dial: n.dial, Jitter: -1, OnChange: func(key string, v Verdict) {
			rec.onChange(key, v)
			time.Sleep(time.Minute)
		}})
		defer m.Close()
		m.Set([]Target{tcpTarget("a", hostA, 104)})
		sleep(time.Second)
		n.set(portA, nil)
		sleep(8 * time.Second)
		n.set(portA, accepts)
		sleep(8 * time.Second)
		n.set(portA, nil)
		sleep(10 * time.Minute)
		got := rec.take()
		if last := got[len(got)-1]; last.healthy || last.reason != ConnectionRefused {
			t.Errorf("last told: %+v", last)
		}
		if v := m.Verdicts()["a"]; v.Healthy {
			t.Errorf("checks stood still: %+v", v)
		}
	})
}

func TestCallbackMayUseTheMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		var m *Monitor
		ready := make(chan struct{})
		m = NewMonitor(Config{Dial: n.dial, OnChange: func(string, Verdict) {
			<-ready
			m.Set([]Target{tcpTarget("b", hostB, 104)})
			m.Verdicts()
		}})
		defer m.Close()
		close(ready)
		m.Set([]Target{tcpTarget("a", hostA, 104)})
		sleep(10 * time.Second)
		if _, ok := m.Verdicts()["b"]; !ok {
			t.Errorf("%+v", m.Verdicts())
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.net.set(portA, silent)
		l.Set([]Target{tcpTarget("a", hostA, 104)})
		sleep(time.Second)
		start := time.Now()
		l.Close()
		if took := time.Since(start); took != 0 || l.net.connections(hostA) != 0 {
			t.Errorf("Close took %v with %d connections open", took, l.net.connections(hostA))
		}
		l.Close()
		l.Set([]Target{tcpTarget("b", hostB, 104)})
		if v := l.Verdicts(); len(v) != 1 || v["a"].Reason != NotYetChecked {
			t.Errorf("%+v", v)
		}
	})
}
