package checks

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/pacs"
	"github.com/truepacs/balancer/e2e/suite"
)

// plan is one round unless the environment says otherwise.
func plan() suite.Plan { return suite.Plan{Name: "CHECKS", Unit: "ROUNDS", Seed: 13, Count: 1} }

func TestMain(m *testing.M) { plan().Run(m) }

// Promises about servers that fail while one store a second comes.
const (
	// mostFailures is how many associations may fail when the server's process is killed.
	mostFailures = 2
	// longest is how long stores may fail when the server hangs or is cut off.
	longest = 5 * time.Second
)

// fault is a way to fail.
type fault struct {
	name string
	// strike and heal act on the server; heal lets it serve again.
	strike, heal func(w *world, server *pacs.Orthanc) error
	judge        func(t *testing.T, o outcome)
}

func faults() []fault {
	return []fault{
		{"kill -9", func(_ *world, s *pacs.Orthanc) error { return s.Kill() },
			func(w *world, s *pacs.Orthanc) error { return s.Start(w.ctx) }, judgeFailures},
		{"SIGSTOP", func(_ *world, s *pacs.Orthanc) error { return s.Freeze() },
			func(_ *world, s *pacs.Orthanc) error { return s.Thaw() }, judgeTime},
		{"cable pulled", func(w *world, s *pacs.Orthanc) error { return s.Host.Cable(w.ctx, "eth0", false) },
			func(w *world, s *pacs.Orthanc) error { return s.Host.Cable(w.ctx, "eth0", true) }, judgeTime},
	}
}

// TestServerThatFails lets a server fail in every way, at a moment of its checks' period that the
// seed chooses. Witnesses are the exit status of storescu, with the time at which it was started,
// and the servers' own databases: what was acknowledged is there.
func TestServerThatFails(t *testing.T) {
	p, err := plan().Read()
	suite.Must(t, err)
	w := newWorld(t)
	p.Round(t, func(n uint64) {
		random := rand.New(rand.NewPCG(p.SeedOf(n), 0))
		for _, f := range suite.Shuffled(p, n, faults()) {
			w.play(t, f, random)
		}
	})
}

// Times of a scene: stores before the fault, up to a period of the checks more, and stores after it.
const (
	before = 2 * time.Second
	period = 2 * time.Second
	after  = 10 * time.Second
)

// play lets one server fail under stores.
func (w *world) play(t *testing.T, f fault, random *rand.Rand) {
	t.Helper()
	server := w.Servers[random.IntN(len(w.Servers))]
	phase := time.Duration(random.Int64N(int64(period)))
	stores := w.startStores(t)
	time.Sleep(before + phase)
	struck := time.Now()
	suite.Must(t, f.strike(w, server))
	time.Sleep(after)
	list := stores.finish()
	reason := w.reason(t, server.Host.Name())
	suite.Must(t, f.heal(w, server))
	w.awaitHealthy(t)
	o := judged(list, struck)
	if reason == "" {
		t.Errorf("%s: status names no reason", f.name)
	}
	f.judge(t, o)
	acknowledged := w.compare(t, list)
	suite.Verdict(t, "%s of %s, phase %v: %s; status says %s; all %d acknowledged objects are stored",
		f.name, server.Host.Name(), phase.Round(time.Millisecond), o, reason, acknowledged)
}
