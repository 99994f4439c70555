package health

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// answersAfter is a server that is silent for a while and then lets connect.
func answersAfter(d time.Duration) behaviour {
	return func(ctx context.Context) (net.Conn, error) {
		select {
		case <-time.After(d):
			return accepts(ctx)
		case <-ctx.Done():
			return silent(ctx)
		}
	}
}

// hung is a server that answered so far and keeps silent from now on.
func hung(t *testing.T, c Check) (*lab, time.Time) {
	t.Helper()
	l := newLab(t)
	l.net.set(portA, accepts)
	c.Type, c.Port = TCP, 104
	l.Set([]Target{{Key: "a", Address: netip.MustParseAddr(hostA), Checks: []Check{c}}})
	synctest.Wait()
	l.rec.take()
	l.net.set(portA, silent)
	return l, time.Now()
}

// A server that hangs is asked once, and after FastPeriod as often as Fall demands.
func TestSilenceIsAskedAgainTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, died := hung(t, Check{Period: 2 * time.Second, FastPeriod: 500 * time.Millisecond, Timeout: 2 * time.Second, Fall: 3})
		sleep(5 * time.Second)
		wantChanges(t, l, change{"a", false, ConnectTimeout, 4500 * time.Millisecond})
		var at []time.Duration
		for _, a := range l.net.attempts(portA)[1:4] {
			at = append(at, a.Sub(died))
		}
		want := []time.Duration{2 * time.Second, 2500 * time.Millisecond, 2500 * time.Millisecond}
		if diff := cmp.Diff(want, at); diff != "" {
			t.Error(diff)
		}
	})
}

// A server that is slow, and answers at last, stays up; and it is not asked threefold for ever: what
// it needs is learnt.
func TestSlowServerIsNotPressed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := hung(t, Check{})
		l.net.set(portA, answersAfter(900*time.Millisecond))
		before := len(l.net.attempts(portA))
		sleep(time.Minute)
		if got := l.rec.take(); len(got) > 0 {
			t.Errorf("changes %+v", got)
		}
		if most, n := l.net.peak(), len(l.net.attempts(portA))-before; most != 3 || n > 33 {
			t.Errorf("%d connections at a time, %d probes in a minute: the first three, then one every 2 s", most, n)
		}
	})
}

// A further probe that passes speaks for the server, whatever became of the first.
func TestOnePassOfAVolleyIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		results := fire(t.Context(), func(ctx context.Context) Result {
			n := asked.Add(1)
			if n == 1 {
				<-ctx.Done()
				return Result{Grade: Fail, Reason: ConnectTimeout}
			}
			time.Sleep(time.Duration(n) * time.Second)
			return Result{}
		}, 2, time.Second)
		if diff := cmp.Diff([]Result{{}}, results); diff != "" {
			t.Error(diff)
		}
	})
}

// Agents and programs are asked one at a time, and so is a server that is down or being decided.
func TestWhoGetsVolleys(t *testing.T) {
	up := State{Status: Healthy}
	check := Check{Type: DICOMEcho}.withDefaults()
	agent, program, impatient := Check{Type: Agent, Fall: 3}.withDefaults(), Check{Type: External}.withDefaults(), check
	impatient.Timeout = check.FastPeriod
	cases := map[string]struct {
		p    progress
		want int
	}{
		"up":                      {progress{check: check, state: up}, 2},
		"up, one failure":         {progress{check: check, state: State{Status: Healthy, Run: 1}}, 1},
		"up, two failures":        {progress{check: check, state: State{Status: Healthy, Run: 2}}, 0},
		"down":                    {progress{check: check, state: State{Status: Unhealthy}}, 0},
		"never seen":              {progress{check: check}, 0},
		"agent":                   {progress{check: agent, state: up}, 0},
		"program":                 {progress{check: program, state: up}, 0},
		"times out at once":       {progress{check: impatient, state: up}, 0},
		"slow as its own timeout": {progress{check: check, state: up, usual: time.Second}, 0},
	}
	for name, tc := range cases {
		if n, _ := tc.p.further(); n != tc.want {
			t.Errorf("%s: %d further probes, want %d", name, n, tc.want)
		}
	}
}
