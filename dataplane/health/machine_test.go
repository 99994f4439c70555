package health

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var fast = Policy{Rise: 2, Fall: 3, Period: 5 * time.Second, FastPeriod: 500 * time.Millisecond}

func TestStep(t *testing.T) {
	up, down := State{Status: Healthy}, State{Status: Unhealthy}
	assumedUp, assumedDown := InitiallyHealthy.start(), InitiallyUnhealthy.start()
	cases := map[string]struct {
		from  State
		g     Grade
		want  State
		delay time.Duration
	}{
		"first pass decides":            {State{}, Pass, up, fast.Period},
		"first failure decides":         {State{}, Fail, down, fast.Period},
		"nothing learnt":                {State{}, Inconclusive, State{}, fast.Period},
		"healthy stays":                 {up, Pass, up, fast.Period},
		"first failure":                 {up, Fail, State{Status: Healthy, Run: 1}, fast.FastPeriod},
		"second failure":                {State{Status: Healthy, Run: 1}, Fail, State{Status: Healthy, Run: 2}, fast.FastPeriod},
		"third failure decides":         {State{Status: Healthy, Run: 2}, Fail, down, fast.Period},
		"pass forgives":                 {State{Status: Healthy, Run: 2}, Pass, up, fast.Period},
		"local fault does not count":    {State{Status: Healthy, Run: 2}, Inconclusive, State{Status: Healthy, Run: 2}, fast.FastPeriod},
		"first pass of unhealthy":       {down, Pass, State{Status: Unhealthy, Run: 1}, fast.FastPeriod},
		"second pass decides":           {State{Status: Unhealthy, Run: 1}, Pass, up, fast.Period},
		"failure on the way up":         {State{Status: Unhealthy, Run: 1}, Fail, down, fast.Period},
		"assumed healthy confirmed":     {assumedUp, Pass, up, fast.Period},
		"assumed healthy, failure":      {assumedUp, Fail, State{Status: Healthy, Assumed: true, Run: 1}, fast.FastPeriod},
		"assumed unhealthy, one pass":   {assumedDown, Pass, up, fast.Period},
		"assumed unhealthy confirmed":   {assumedDown, Fail, down, fast.Period},
		"threshold lowered in the past": {State{Status: Healthy, Run: 7}, Fail, down, fast.Period},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, delay := tc.from.Step(tc.g, fast)
			if got != tc.want || delay != tc.delay {
				t.Errorf("got %+v after %v, want %+v after %v", got, delay, tc.want, tc.delay)
			}
		})
	}
}

// The machine against its definition: what the last results in a row, local faults left out, say.
func TestStepAgainstHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{
			Rise: rapid.IntRange(1, 5).Draw(t, "rise"), Fall: rapid.IntRange(1, 5).Draw(t, "fall"),
			Period: time.Second, FastPeriod: time.Millisecond,
		}
		initial := rapid.SampledFrom([]Initial{InitiallyUnknown, InitiallyHealthy, InitiallyUnhealthy}).Draw(t, "initial")
		s := initial.start()
		healthy, decided := initial == InitiallyHealthy, false
		var history []Grade
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			g := rapid.SampledFrom([]Grade{Pass, Fail, Inconclusive}).Draw(t, "grade")
			var delay time.Duration
			s, delay = s.Step(g, p)
			if g != Inconclusive {
				history = append(history, g)
				healthy, decided = expect(history, healthy, decided, p)
			}
			if (s.Status == Healthy) != healthy || s.Decided() != decided {
				t.Fatalf("after %v: %+v, want healthy %v decided %v", history, s, healthy, decided)
			}
			if (delay == p.FastPeriod) != s.Deciding() || s.Run >= max(p.Rise, p.Fall) {
				t.Fatalf("after %v: %+v next in %v", history, s, delay)
			}
			if s.Deciding() && (history[len(history)-1] == Pass) == healthy {
				t.Fatalf("deciding although the last result agrees: %+v after %v", s, history)
			}
		}
	})
}

// expect restates the rule: runs of equal results at the end of the history against thresholds.
func expect(history []Grade, healthy, decided bool, p Policy) (bool, bool) {
	last, run := history[len(history)-1], 0
	for i := len(history) - 1; i >= 0 && history[i] == last; i-- {
		run++
	}
	switch {
	case last == Pass && (healthy || !decided || run >= p.Rise):
		return true, true
	case last == Fail && (!healthy || run >= p.Fall):
		return false, true
	default:
		return healthy, decided
	}
}
