package findings

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/suite"
)

// plan is a sample of the items unless the environment says otherwise: FINDINGS_ITEMS=99 is all.
func plan() suite.Plan { return suite.Plan{Name: "FINDINGS", Unit: "ITEMS", Seed: 5, Count: 5} }

func TestMain(m *testing.M) { plan().Run(m) }

// soon is how long the product may take on a machine of its own. A machine that is shared may need
// longer, which is counted, up to what FINDINGS_SECONDS says: 30.
const soon = 10 * time.Second

// item is a misconfiguration.
type item struct {
	name string
	// provoke makes it. Time counts from its begin, or from when it calls world.startClock.
	provoke func(*testing.T, *world)
	// fix puts it right.
	fix func(*testing.T, *world)
	// condition is what becomes False, with this reason; empty: the condition NetworkSound stays
	// True and says it in words.
	condition, reason string
	// says are parts of the message: who it is and what to do.
	says func(*world) []string
	// check, if set, looks while the item is there; checkAfter when it is put right.
	check, checkAfter func(*testing.T, *world)
}

// TestEveryMisconfigurationIsNamed provokes items in an order that the seed gives.
func TestEveryMisconfigurationIsNamed(t *testing.T) {
	p, err := plan().Read()
	suite.Must(t, err)
	all := items()
	order := rand.New(rand.NewPCG(p.Seed, 1))
	order.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	from := min(int(p.From)-1, len(all))
	all = all[from:min(from+int(p.Count), len(all))]
	if len(all) == 0 {
		t.Fatal("no item is left, the sample is empty")
	}
	seconds, err := suite.Number("FINDINGS_SECONDS", 30)
	suite.Must(t, err)
	w := newWorld(t)
	w.tooLate = time.Duration(seconds) * time.Second
	var figures []figure
	for _, i := range all {
		figures = append(figures, w.show(t, i))
	}
	report(t, figures)
	fed(t)
	suite.Verdict(t, "%d of %d misconfigurations of this machine named and cleared, seed %d; fed: LRO; in a cluster only: addresses of Services (controllers)",
		len(figures), len(items()), p.Seed)
}

// figure is how long an item took.
type figure struct {
	name           string
	named, cleared time.Duration
}

// show provokes an item and puts it right.
func (w *world) show(t *testing.T, i item) figure {
	t.Helper()
	f := figure{name: i.name}
	w.startClock()
	i.provoke(t, w)
	var said string
	f.named = w.await(t, i.name+": named", func(o overview) (err error) {
		said, err = w.names(o, i)
		return err
	})
	t.Logf("%s: named after %s: %s", i.name, f.named.Round(10*time.Millisecond), said)
	if i.check != nil {
		i.check(t, w)
	}
	w.startClock()
	i.fix(t, w)
	f.cleared = w.await(t, i.name+": cleared", func(o overview) error { return o.sound() })
	if i.checkAfter != nil {
		i.checkAfter(t, w)
	}
	return f
}

// names returns the message that names an item, or why there is none.
func (w *world) names(o overview, i item) (string, error) {
	kind, status := i.condition, "False"
	if kind == "" {
		kind, status = "NetworkSound", "True"
	}
	c, err := o.condition(kind)
	if err != nil {
		return "", err
	}
	if string(c.Status) != status || i.reason != "" && c.Reason != i.reason {
		return "", fmt.Errorf("%s is %s: %s: %s", kind, c.Status, c.Reason, c.Message)
	}
	for _, part := range i.says(w) {
		if !strings.Contains(c.Message, part) {
			return "", fmt.Errorf("the message of %s does not say %q: %s", kind, part, c.Message)
		}
	}
	return c.Message, nil
}

// await asks for the status until judge is content with it, and returns how long that took.
func (w *world) await(t *testing.T, what string, judge func(overview) error) time.Duration {
	t.Helper()
	for {
		o, err := w.overview(t)
		if err == nil {
			err = judge(o)
		}
		if err == nil {
			return time.Since(w.clock)
		}
		if time.Since(w.clock) > w.tooLate {
			t.Fatalf("%s: not within %s: %v", what, w.tooLate, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (w *world) startClock() { w.clock = time.Now() }

// report prints the figures.
func report(t *testing.T, all []figure) {
	t.Helper()
	late := 0
	for _, f := range all {
		suite.Verdict(t, "%-42s named after %5.1f s, cleared after %5.1f s", f.name, f.named.Seconds(), f.cleared.Seconds())
		for _, d := range []time.Duration{f.named, f.cleared} {
			if d > soon {
				late++
			}
		}
	}
	worst := slices.MaxFunc(all, func(a, b figure) int { return int(a.named - b.named) })
	suite.Verdict(t, "%d items; %d of %d times over %s; slowest to be named: %s, %.1f s", len(all), late, 2*len(all), soon, worst.name, worst.named.Seconds())
}

// limit bounds a step far beyond what it takes.
const limit = 3 * time.Minute
