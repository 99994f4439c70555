package agent

import (
	"time"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/weights"
)

// signaller is what a Checker may offer beside verdicts: what agents on the servers ask for.
type signaller interface {
	Signals() map[string]weights.Signal
}

// weigher weighs services and remembers what that needs: which servers have just come back, which
// services are on their fallback servers. The zero value is ready. It is not safe for concurrent use.
type weigher struct {
	memory weights.Memory
}

// weigh returns the services as the kernel shall have them, and when it wants to be called again if
// nothing else happens; zero: never. A server that shall get no new connections has weight 0 and
// keeps its established ones.
func (w *weigher) weigh(services []model.VirtualService, signals map[string]weights.Signal, now time.Time) ([]model.VirtualService, time.Time) {
	r := weights.Decide(services, signals, w.memory, now)
	w.memory = r.Memory
	return r.Services, r.Next
}

// signalsOf joins verdicts with what the checker's agents say, if it knows.
func signalsOf(verdicts map[string]model.Verdict, checker Checker) map[string]weights.Signal {
	said := map[string]weights.Signal{}
	if s, ok := checker.(signaller); ok {
		said = s.Signals()
	}
	all := make(map[string]weights.Signal, len(verdicts))
	for key, v := range verdicts {
		signal := said[key]
		signal.Healthy = v.Healthy
		all[key] = signal
	}
	return all
}

// adopted returns the targets that the kernel treats as healthy: a server has weight there in
// one of the services, which an earlier run of the agent gave it.
func adopted(services []model.VirtualService, kernel map[uint32]map[string]int) map[string]bool {
	healthy := map[string]bool{}
	for _, service := range services {
		for _, server := range service.Servers {
			if kernel[service.Mark][server.Address.String()] > 0 {
				healthy[server.Target] = true
			}
		}
	}
	return healthy
}
