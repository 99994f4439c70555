package weights

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/truepacs/balancer/dataplane/model"
	"pgregory.net/rapid"
)

func server(name string, weight int, change ...func(*model.RealServer)) model.RealServer {
	s := model.RealServer{Name: name, Weight: weight, Target: name}
	for _, c := range change {
		c(&s)
	}
	return s
}

func fallback(s *model.RealServer)    { s.Fallback = true }
func drained(s *model.RealServer)     { s.State = model.Drain }
func maintenance(s *model.RealServer) { s.State = model.Maintenance }
func slow(s *model.RealServer)        { s.SlowStart = 90 * time.Second }

func weightsOf(r Result) []int {
	var w []int
	for _, s := range r.Services {
		for _, server := range s.Servers {
			w = append(w, server.Weight)
		}
	}
	return w
}

func TestFreshDecision(t *testing.T) {
	up := Signal{Healthy: true}
	cases := map[string]struct {
		servers []model.RealServer
		signals map[string]Signal
		allDown model.AllDown
		want    []int
	}{
		"up and down":                     {[]model.RealServer{server("a", 100), server("b", 50)}, map[string]Signal{"a": up}, "", []int{100, 0}},
		"without target":                  {[]model.RealServer{{Name: "a", Weight: 7}}, nil, "", []int{7}},
		"drain and maintenance":           {[]model.RealServer{server("a", 1, drained), server("b", 2, maintenance), server("c", 3)}, map[string]Signal{"a": up, "b": up, "c": up}, "", []int{0, 0, 3}},
		"fallback idle":                   {[]model.RealServer{server("a", 1), server("f", 9, fallback)}, map[string]Signal{"a": up, "f": up}, "", []int{1, 0}},
		"fallback serves":                 {[]model.RealServer{server("a", 1), server("f", 9, fallback)}, map[string]Signal{"f": up}, "", []int{0, 9}},
		"fallback when all drained":       {[]model.RealServer{server("a", 1, drained), server("f", 9, fallback)}, map[string]Signal{"a": up, "f": up}, "", []int{0, 9}},
		"all down, refuse":                {[]model.RealServer{server("a", 1), server("f", 9, fallback)}, nil, "", []int{0, 0}},
		"all down, use all":               {[]model.RealServer{server("a", 1), server("f", 9, fallback), server("m", 5, maintenance)}, nil, model.AllDownUseAll, []int{1, 9, 0}},
		"use all leaves a drained one":    {[]model.RealServer{server("a", 1), server("d", 9, drained)}, nil, model.AllDownUseAll, []int{1, 0}},
		"agents drain everything":         {[]model.RealServer{server("a", 1)}, map[string]Signal{"a": {Healthy: true, Drain: true}}, model.AllDownUseAll, []int{0}},
		"agent halves":                    {[]model.RealServer{server("a", 100)}, map[string]Signal{"a": {Healthy: true, Weighted: true, Percent: 50}}, "", []int{50}},
		"agent never rounds down to none": {[]model.RealServer{server("a", 1)}, map[string]Signal{"a": {Healthy: true, Weighted: true, Percent: 1}}, "", []int{1}},
		"agent says none":                 {[]model.RealServer{server("a", 1)}, map[string]Signal{"a": {Healthy: true, Weighted: true}}, "", []int{0}},
		"agent bounded":                   {[]model.RealServer{server("a", 60000)}, map[string]Signal{"a": {Healthy: true, Weighted: true, Percent: 9999}}, "", []int{MaxWeight}},
		"no ramp at the start":            {[]model.RealServer{server("a", 100, slow)}, map[string]Signal{"a": up}, "", []int{100}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			in := []model.VirtualService{{Key: "s", AllDown: tc.allDown, Servers: tc.servers}}
			r := Decide(in, tc.signals, Memory{}, time.Unix(1000, 0))
			if diff := cmp.Diff(tc.want, weightsOf(r)); diff != "" || !r.Next.IsZero() {
				t.Errorf("next %v %s", r.Next, diff)
			}
		})
	}
}

// play calls Decide whenever it asks to be, until end.
func play(services []model.VirtualService, signals map[string]Signal, m Memory, from, end time.Time) (Result, []string) {
	var seen []string
	last := ""
	for now := from; ; {
		r := Decide(services, signals, m, now)
		if w := fmt.Sprint(weightsOf(r)); w != last {
			seen = append(seen, fmt.Sprintf("%v %s", now.Sub(from), w))
			last = w
		}
		if r.Next.IsZero() || r.Next.After(end) {
			return r, seen
		}
		m, now = r.Memory, r.Next
	}
}

func TestSlowStart(t *testing.T) {
	services := []model.VirtualService{{Key: "s", Servers: []model.RealServer{server("a", 100, slow), server("b", 10)}}}
	start := time.Unix(1000, 0)
	down := Decide(services, map[string]Signal{"b": {Healthy: true}}, Memory{}, start)
	_, seen := play(services, map[string]Signal{"a": {Healthy: true}, "b": {Healthy: true}}, down.Memory, start, start.Add(time.Hour))
	want := []string{"0s [10 10]", "10s [20 10]", "20s [30 10]", "30s [40 10]", "40s [50 10]", "50s [60 10]", "1m0s [70 10]", "1m10s [80 10]", "1m20s [90 10]", "1m30s [100 10]"}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
}

func TestStickyFailBack(t *testing.T) {
	services := []model.VirtualService{{Key: "s", HoldDown: time.Minute, Servers: []model.RealServer{server("a", 1), server("f", 1, fallback)}}}
	start := time.Unix(1000, 0)
	a, f := map[string]Signal{"a": {Healthy: true}}, map[string]Signal{"f": {Healthy: true}}
	both := map[string]Signal{"a": {Healthy: true}, "f": {Healthy: true}}
	steps := []struct {
		after   time.Duration
		signals map[string]Signal
		want    []int
	}{
		{0, both, []int{1, 0}},
		{time.Second, f, []int{0, 1}},                      // the primary dies
		{2 * time.Second, both, []int{0, 1}},               // it returns, and is held down
		{61 * time.Second, both, []int{0, 1}},              // still
		{61500 * time.Millisecond, f, []int{0, 1}},         // it flaps
		{62 * time.Second, both, []int{0, 1}},              // the time starts anew
		{121 * time.Second, both, []int{0, 1}},             //
		{122 * time.Second, both, []int{1, 0}},             // a minute without a break
		{130 * time.Second, f, []int{0, 1}},                // again
		{131 * time.Second, nil, []int{0, 0}},              // and the fallback server dies too
		{132 * time.Second, a, []int{1, 0}},                // nobody else: the primary serves at once
		{133 * time.Second, both, []int{1, 0}},             // and goes on
		{134 * time.Second, nil, []int{0, 0}},              //
		{135 * time.Second, f, []int{0, 1}},                //
		{136 * time.Second, both, []int{0, 1}},             // held down
		{136*time.Second + time.Minute, both, []int{1, 0}}, //
	}
	var m Memory
	for i, step := range steps {
		r := Decide(services, step.signals, m, start.Add(step.after))
		if diff := cmp.Diff(step.want, weightsOf(r)); diff != "" {
			t.Fatalf("step %d at %v: %s", i, step.after, diff)
		}
		m = r.Memory
	}
}

// TestFailoverInOrderIsSticky: the second server keeps its clients until the first has been up
// again for the hold-down.
func TestFailoverInOrderIsSticky(t *testing.T) {
	services := []model.VirtualService{{
		Key: "s", Scheduler: model.WeightedFailover, HoldDown: time.Minute, Servers: []model.RealServer{server("a", 2), server("b", 1)},
	}}
	start := time.Unix(1000, 0)
	both := map[string]Signal{"a": {Healthy: true}, "b": {Healthy: true}}
	onlyA, onlyB := map[string]Signal{"a": {Healthy: true}}, map[string]Signal{"b": {Healthy: true}}
	var m Memory
	for i, step := range []struct {
		after   time.Duration
		signals map[string]Signal
		want    []int
	}{
		{0, both, []int{2, 1}},
		{1 * time.Second, onlyB, []int{0, 1}},
		{2 * time.Second, both, []int{0, 1}},
		{61 * time.Second, both, []int{0, 1}},
		{62 * time.Second, both, []int{2, 1}},
		{70 * time.Second, onlyB, []int{0, 1}},
		{71 * time.Second, both, []int{0, 1}},
		{72 * time.Second, onlyA, []int{2, 0}}, // nobody else is left
	} {
		r := Decide(services, step.signals, m, start.Add(step.after))
		if diff := cmp.Diff(step.want, weightsOf(r)); diff != "" {
			t.Fatalf("step %d at %v: %s", i, step.after, diff)
		}
		m = r.Memory
	}
}

// world is a random service with its signals.
func world(t *rapid.T) ([]model.VirtualService, func() map[string]Signal) {
	n := rapid.IntRange(0, 5).Draw(t, "servers")
	s := model.VirtualService{Key: "s", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}
	s.AllDown = rapid.SampledFrom([]model.AllDown{model.AllDownRefuse, model.AllDownUseAll}).Draw(t, "allDown")
	for i := range n {
		s.Servers = append(s.Servers, model.RealServer{
			Name: fmt.Sprint(i), Target: fmt.Sprint(i), Weight: rapid.IntRange(-1, 200).Draw(t, "weight"),
			Fallback:  rapid.Bool().Draw(t, "fallback"),
			State:     rapid.SampledFrom([]model.ServerState{model.Active, model.Active, model.Drain, model.Maintenance}).Draw(t, "state"),
			SlowStart: time.Duration(rapid.IntRange(0, 100).Draw(t, "slow")) * time.Second,
		})
	}
	signals := func() map[string]Signal {
		all := map[string]Signal{}
		for i := range n {
			all[fmt.Sprint(i)] = Signal{
				Healthy: rapid.Bool().Draw(t, "healthy"), Weighted: rapid.Bool().Draw(t, "weighted"),
				Percent: rapid.IntRange(-5, 300).Draw(t, "percent"), Drain: rapid.IntRange(0, 4).Draw(t, "drain") == 0,
			}
		}
		return all
	}
	return []model.VirtualService{s}, signals
}

// TestInvariants over random histories.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		services, draw := world(t)
		services[0].HoldDown = time.Duration(rapid.IntRange(0, 60).Draw(t, "hold")) * time.Second
		services[0].Scheduler = rapid.SampledFrom([]model.Scheduler{model.RoundRobin, model.WeightedFailover}).Draw(t, "scheduler")
		var m Memory
		now := time.Unix(1000, 0)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(-5, 90).Draw(t, "later")) * time.Second)
			signals := draw()
			r := Decide(services, signals, m, now)
			if again := Decide(services, signals, m, now); !cmp.Equal(weightsOf(r), weightsOf(again)) {
				t.Fatal("two calls differ: Decide changed its input")
			}
			holds(t, services[0], r, signals, now)
			m = r.Memory
		}
		// Left alone, it settles in a bounded number of steps, each later than the one before.
		signals, steps := draw(), 0
		for r := Decide(services, signals, m, now); !r.Next.IsZero(); steps++ {
			if !r.Next.After(now) || steps > 12*(len(services[0].Servers)+1) {
				t.Fatalf("step %d at %v wants %v", steps, now, r.Next)
			}
			now = r.Next
			r = Decide(services, signals, r.Memory, now)
		}
	})
}

// holds checks one decision against the contract.
func holds(t *rapid.T, s model.VirtualService, r Result, signals map[string]Signal, now time.Time) {
	some, could, up := false, false, false
	tiers := map[bool]bool{}
	for i, got := range r.Services[0].Servers {
		want, sig := s.Servers[i], signals[got.Target]
		if got.Weight < 0 || got.Weight > MaxWeight || got.Weight > 0 && want.State != model.Active {
			t.Fatalf("%+v got weight %d", want, got.Weight)
		}
		zeroed := sig.Weighted && sig.Percent <= 0
		could = could || want.State == model.Active && sig.Healthy && !sig.Drain && !zeroed && want.Weight > 0
		up = up || want.State == model.Active && sig.Healthy
		if got.Weight > 0 {
			some = true
			tiers[want.Fallback] = true
		}
		if up && got.Weight > 0 && (!sig.Healthy || sig.Drain || zeroed) && could {
			t.Fatalf("%+v with %+v got weight %d while others could serve", want, sig, got.Weight)
		}
	}
	if could && len(tiers) > 1 {
		t.Fatalf("both tiers serve: %v", weightsOf(r))
	}
	if !r.Next.IsZero() && !r.Next.After(now) {
		t.Fatalf("next %v is not after %v", r.Next, now)
	}
	if could && !some {
		t.Fatalf("a server could serve and none does: %+v, %+v", s.Servers, signals)
	}
}
