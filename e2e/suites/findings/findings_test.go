package findings

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/suite"
)

// plan is a sample of the items unless the environment says otherwise: FINDINGS_ITEMS=99 is all.
func plan() suite.Plan { return suite.Plan{Name: "FINDINGS", Unit: "ITEMS", Seed: 5, Count: 5} }

func TestMain(m *testing.M) { plan().Run(m) }

// An item that took longer than FINDINGS_SECONDS, 10, to be named or cleared fails. On a machine that was
// starved meanwhile, which the figures say, it is made once more.
const (
	soon = 10
	// tooLate is when waiting for the product ends.
	tooLate = time.Minute
)

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
	seconds, err := suite.Number("FINDINGS_SECONDS", soon)
	suite.Must(t, err)
	bound := time.Duration(seconds) * time.Second
	w := newWorld(t)
	w.tooLate = tooLate
	var figures []figure
	for _, i := range all {
		f := w.show(t, i)
		if f.worst() > bound && f.starved() {
			t.Logf("%s: %s, while processes waited for a processor %.0f %% of the time: once more", i.name, f, 100*f.waited)
			f = w.show(t, i)
			f.again = true
		}
		figures = append(figures, f)
	}
	report(t, figures, bound)
	fed(t)
	suite.Verdict(t, "%d of %d misconfigurations of this machine named and cleared, seed %d; fed: LRO; in a cluster only: addresses of Services (controllers)",
		len(figures), len(items()), p.Seed)
}

// figure is how long an item took.
type figure struct {
	name           string
	named, cleared time.Duration
	// waited is the share of the time in which a process of this machine waited for a processor.
	waited float64
	// again says that the machine was starved the first time.
	again bool
}

func (f figure) worst() time.Duration { return max(f.named, f.cleared) }

// starved tells whether the machine had no time for the product: the suite alone, on two processors,
// makes processes wait for a fifth to a third of the time.
func (f figure) starved() bool { return f.waited > 0.5 }

func (f figure) String() string {
	return fmt.Sprintf("named after %.1f s, cleared after %.1f s", f.named.Seconds(), f.cleared.Seconds())
}

// show provokes an item and puts it right.
func (w *world) show(t *testing.T, i item) figure {
	t.Helper()
	f := figure{name: i.name}
	pressed := pressure(t)
	began := time.Now()
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
	f.waited = (pressure(t) - pressed).Seconds() / time.Since(began).Seconds()
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

// report prints the figures; one over the bound fails.
func report(t *testing.T, all []figure, bound time.Duration) {
	t.Helper()
	repeated := 0
	for _, f := range all {
		if f.worst() > bound {
			t.Errorf("%s: %s, not within %s each (processor short %.0f %% of the time)", f.name, f, bound, 100*f.waited)
		}
		suite.Verdict(t, "%-42s %s; processor short %2.0f %%", f.name, f, 100*f.waited)
		if f.again {
			repeated++
		}
	}
	worst := slices.MaxFunc(all, func(a, b figure) int { return int(a.worst() - b.worst()) })
	suite.Verdict(t, "%d items, each to be named and cleared within %s; %d made again on a starved machine; slowest: %s, %s", len(all), bound, repeated, worst.name, worst)
}

// pressure is for how long a process of this machine has waited for a processor since it runs
// (Documentation/accounting/psi.rst of the kernel).
func pressure(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/pressure/cpu")
	suite.Must(t, err)
	var shares [3]float64
	var total int64
	_, err = fmt.Sscanf(string(text), "some avg10=%f avg60=%f avg300=%f total=%d", &shares[0], &shares[1], &shares[2], &total)
	suite.Must(t, err)
	return time.Duration(total) * time.Microsecond
}

// limit bounds a step far beyond what it takes.
const limit = 3 * time.Minute
