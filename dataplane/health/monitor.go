package health

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

// Config is what a Monitor needs; every field has a default.
type Config struct {
	// Log gets one line for each change of health. The zero value discards.
	Log logr.Logger
	// Dial opens connections. Default: plain sockets without keepalive.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// DialVia opens the connections of checks with Via. Absent: they report LocalFault.
	DialVia DialVia
	// RunProgram runs the programs of type External. Absent: they report InvalidCheck.
	RunProgram RunProgram
	// OnChange is told each new target's first verdict and every verdict that differs from the
	// one before, one call at a time. If it is slow, verdicts in between are left out, the
	// latest never is; checks go on meanwhile. It may call Set and Verdicts, not Close.
	OnChange func(key string, v Verdict)
	// Jitter is the fraction, 0 to 1, by which a regular period is shortened or lengthened at
	// random; it is never lengthened by more than 100 ms, all told. 0 means 0.05; negative means none.
	Jitter float64
	// Seed makes the random delays repeatable; 0 means random.
	Seed uint64
	// Now dates verdicts. Default: time.Now. Delays always follow the real clock.
	Now func() time.Time
}

// defaultJitter is Config.Jitter's default.
const defaultJitter = 0.05

// Monitor checks a set of targets until Close. It is safe for concurrent use.
type Monitor struct {
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	notify *notifier
	loop   loop

	// origin is where the grid of schedule.go starts.
	origin time.Time

	mu      sync.Mutex
	rand    *rand.Rand
	targets map[string]*runner
	closed  bool
}

// NewMonitor returns a running Monitor without targets. Close must be called.
func NewMonitor(cfg Config) *Monitor {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Seed == 0 {
		cfg.Seed = rand.Uint64()
	}
	cfg.Jitter = min(max(0, orDefault(cfg.Jitter, defaultJitter)), 1)
	m := &Monitor{cfg: cfg, origin: time.Now(), targets: map[string]*runner{}, rand: rand.New(rand.NewPCG(cfg.Seed, cfg.Seed))}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.notify = newNotifier(&m.mu, m.verdict, cfg.OnChange)
	m.wg.Go(func() { m.notify.run(m.ctx) })
	return m
}

// Set makes targets the whole set that is checked. It returns at once and may be called at any time:
//   - A target that has not changed keeps its verdict, its count of failures and its schedule.
//   - A target with other checks keeps its verdict until the new checks decide. A check that asks the
//     same as before keeps its count.
//   - A target with another address is another server: it starts anew from Initial.
//   - A target that is missing is stopped and forgotten; its connection is aborted.
//
// Of targets with the same key the first is taken and the others are logged. Targets should have
// passed Validate. After Close, Set does nothing.
func (m *Monitor) Set(targets []Target) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	want := m.index(targets)
	for key, r := range m.targets {
		if _, ok := want[key]; !ok {
			r.stop()
			delete(m.targets, key)
			m.notify.forget(key)
		}
	}
	fresh := m.changed(want)
	for _, t := range fresh {
		m.start(t, len(fresh))
	}
}

// index normalises targets and drops those whose key was there before.
func (m *Monitor) index(targets []Target) map[string]Target {
	want := make(map[string]Target, len(targets))
	for _, t := range targets {
		if _, ok := want[t.Key]; ok {
			m.cfg.Log.Error(errDuplicate, "Only the first is checked; give every server its own key", "target", t.Key)
			continue
		}
		want[t.Key] = t.normal()
	}
	return want
}

var errDuplicate = errors.New("two health check targets have the same key")

// changed returns the targets that are new or differ from what runs.
func (m *Monitor) changed(want map[string]Target) []Target {
	var list []Target
	for key, t := range want {
		if r, ok := m.targets[key]; !ok || !r.target.sameChecks(t) {
			list = append(list, t)
		}
	}
	return list
}

// start runs t, in place of what ran under its key; together is how many targets start with it.
func (m *Monitor) start(t Target, together int) {
	r := newRunner(m.ctx, t, m.targets[t.Key])
	now := time.Now()
	for i := range r.slots {
		if r.slots[i].due.IsZero() {
			d := firstDelay(m.rand, together, t.Checks[i].Period)
			r.slots[i].due = aligned(m.origin, now.Add(d-grid/2)) // no later than asked
		}
	}
	m.targets[t.Key] = r
	m.publish(r)
	m.wg.Go(func() { m.run(r) })
}

// Verdicts returns a copy of what holds now, by key.
func (m *Monitor) Verdicts() map[string]Verdict {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]Verdict, len(m.targets))
	for key, r := range m.targets {
		all[key] = r.verdict
	}
	return all
}

// verdict returns one target's verdict; false if it is gone. Call it with m.mu held.
func (m *Monitor) verdict(key string) (Verdict, bool) {
	r, ok := m.targets[key]
	if !ok {
		return Verdict{}, false
	}
	return r.verdict, true
}

// Close stops all checks, aborts their connections and waits for its goroutines and for a running
// OnChange. Verdicts stay readable. Calling it again does nothing.
func (m *Monitor) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.cancel()
	m.wg.Wait()
	m.loop.close()
}
