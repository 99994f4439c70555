package agent

import (
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/model"
)

// say replaces the verdicts, as the checker does by itself, and wakes the agent.
func (h *host) say(a *Agent, healthy map[string]bool) {
	synctest.Wait()
	verdicts := map[string]model.Verdict{}
	for key, up := range healthy {
		verdicts[key] = model.Verdict{Known: true, Healthy: up}
	}
	clear(h.verdicts)
	maps.Copy(h.verdicts, verdicts)
	a.Wake()
	synctest.Wait()
}

// now returns the weights that the kernel has.
func (h *host) now() []int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return weightsOf(h.services)
}

// TestReturningServerRamps: a server that comes back gets its weight step by step, each in its own time
// and without anything else happening; one that was there at the start had all of it at once.
func TestReturningServerRamps(t *testing.T) {
	h, node := newHost(), testNode()
	for i := range node.Services[0].Servers {
		node.Services[0].Servers[i].SlowStart = 27 * time.Second // steps of 3 s, which no resync makes
	}
	both, one := map[string]bool{"ns/b/p/a": true, "ns/b/p/b": true}, map[string]bool{"ns/b/p/a": true, "ns/b/p/b": false}
	run(t, h, newStore(t), func(a *Agent) {
		h.say(a, both)
		_, _ = a.SetDesired(node, nil)
		h.say(a, one)
		h.say(a, both)
		came := time.Now()
		seen := map[int]time.Duration{}
		for time.Since(came) < 2*time.Minute {
			w := h.now()
			if w[0] != 100 {
				t.Fatalf("weights %v: the other server has nothing to do with it", w)
			}
			if _, ok := seen[w[1]]; !ok {
				seen[w[1]] = time.Since(came).Round(time.Second)
			}
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
		}
		want := map[int]time.Duration{}
		for step := range 10 {
			want[10*(step+1)] = time.Duration(step) * 3 * time.Second
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Error(diff)
		}
	})
}

// TestAllDown: with the policy to use all, a service whose servers all look down keeps its weights;
// without it nobody gets any.
func TestAllDown(t *testing.T) {
	for policy, want := range map[model.AllDown][]int{model.AllDownUseAll: {100, 100}, model.AllDownRefuse: {0, 0}} {
		h, node := newHost(), testNode()
		node.Services[0].AllDown = policy
		run(t, h, newStore(t), func(a *Agent) {
			_, _ = a.SetDesired(node, nil)
			h.say(a, map[string]bool{"ns/b/p/a": false, "ns/b/p/b": false})
			if diff := cmp.Diff(want, h.now()); diff != "" {
				t.Errorf("%q: %s", policy, diff)
			}
		})
	}
}
