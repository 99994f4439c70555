package agent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/weights"
)

// saying is a Checker that knows what agents say.
type saying struct {
	checkerOf
	signals map[string]weights.Signal
}

func (s saying) Signals() map[string]weights.Signal { return s.signals }

func TestWeigherJoinsVerdictsAndAgents(t *testing.T) {
	verdicts := map[string]model.Verdict{"ns/b/p/a": {Healthy: true}, "ns/b/p/b": {Known: true}}
	checker := saying{signals: map[string]weights.Signal{
		"ns/b/p/a": {Weighted: true, Percent: 30}, "ns/b/p/b": {Healthy: true, Weighted: true, Percent: 200},
	}}
	var w weigher
	out, next := w.weigh(testNode().Services, signalsOf(verdicts, checker), time.Unix(1, 0))
	if diff := cmp.Diff([]int{30, 0}, weightsOf(out)); diff != "" || !next.IsZero() {
		t.Errorf("next %v %s", next, diff)
	}
}

func TestWeigherRemembers(t *testing.T) {
	services := testNode().Services
	services[0].Servers[0].SlowStart = 90 * time.Second
	both := map[string]weights.Signal{"ns/b/p/a": {Healthy: true}, "ns/b/p/b": {Healthy: true}}
	var w weigher
	start := time.Unix(1, 0)
	w.weigh(services, map[string]weights.Signal{"ns/b/p/b": {Healthy: true}}, start)
	out, next := w.weigh(services, both, start.Add(time.Second))
	if diff := cmp.Diff([]int{10, 100}, weightsOf(out)); diff != "" || next.Sub(start) != 11*time.Second {
		t.Errorf("next %v %s", next, diff)
	}
	out, _ = w.weigh(services, both, next)
	if diff := cmp.Diff([]int{20, 100}, weightsOf(out)); diff != "" {
		t.Error(diff)
	}
}
