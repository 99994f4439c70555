package explain

import (
	"fmt"
	"strings"

	"github.com/truepacs/balancer/dataplane/health"
	"github.com/truepacs/balancer/dataplane/ipvs/schedule"
	"github.com/truepacs/balancer/dataplane/model"
)

type serverOf = schedule.Server

// scheduled: the scheduling method decides.
func (a *Answer) scheduled(k *kernel) {
	choice := schedule.Choose(&k.now.Service, a.Client)
	a.idle(k)
	switch {
	case len(choice.Candidates) == 0:
		a.Outcome = OutcomeRefused
		a.because("no server takes new connections now: the director answers with ICMP port unreachable%s", a.advice(k))
	case choice.Doubt == schedule.None:
		a.give(k, choice.Candidates[0].Server, ByScheduler)
		a.because("%s", a.method(k))
	default:
		a.Outcome, a.DecidedBy = OutcomeOneOf, ByScheduler
		for _, c := range choice.Candidates {
			a.OneOf = append(a.OneOf, a.serverAt(k, c.Server, c.Share))
		}
		a.because("%s", doubt(&choice))
	}
	if a.Outcome == OutcomeServer && k.now.Scheduler == model.MaglevHash && len(k.now.Guessed) > 0 {
		a.because("how much of the table %s has is assumed: the weight was taken away before the agent started", strings.Join(k.now.Guessed, ", "))
	}
}

// advice: what to do where nobody serves.
func (a *Answer) advice(k *kernel) string {
	if k.service.AllDown == model.AllDownUseAll {
		return ""
	}
	return "; see truepacs status for why, and whenAllServersDown: UseAllServers for services that shall try all the same"
}

// idle says why servers are passed over.
func (a *Answer) idle(k *kernel) {
	for _, server := range k.service.Servers {
		at := -1
		for i, name := range k.now.Names {
			if name == server.Name {
				at = i
			}
		}
		if why := k.passedOver(&server, at); why != "" {
			a.because("%s gets no new connections: %s", server.Name, why)
		}
	}
}

// passedOver says why a server gets nothing; empty: it may get some.
func (k *kernel) passedOver(server *model.RealServer, at int) string {
	verdict, checked := k.facts.Verdicts[server.Target]
	switch {
	case server.State == model.Maintenance:
		return "its state is Maintenance"
	case at < 0:
		return "the kernel does not have it"
	case k.now.Servers[at].Weight > 0:
		return k.full(at)
	case server.State == model.Drain:
		return "its state is Drain"
	case checked && !verdict.Healthy:
		return "it is down: " + verdict.Message
	case checked && withdrawn(verdict):
		return verdict.Message
	case server.Fallback:
		return "it is a fallback server"
	}
	return "its weight is 0 now"
}

// withdrawn tells that an agent on a server that is well asks for no new connections
// (dataplane/health, AgentDrains and AgentMaintains).
func withdrawn(v model.Verdict) bool {
	return v.Healthy && (v.Reason == string(health.AgentDrains) || v.Reason == string(health.AgentMaintains))
}

// full tells of a server that has reached its threshold.
func (k *kernel) full(at int) string {
	d := &k.now.Servers[at]
	if total := uint64(d.Active) + uint64(d.Inactive); d.Upper > 0 && total >= uint64(d.Upper) {
		return fmt.Sprintf("it has %d connections, and maxConnections is %d", total, d.Upper)
	}
	return ""
}

// method says in words what the scheduling method went by.
func (a *Answer) method(k *kernel) string {
	what := map[model.Scheduler]string{
		model.RoundRobin:              "it is the only server that takes new connections",
		model.WeightedRoundRobin:      "it is the only server that takes new connections",
		model.LeastConnection:         "it has the fewest connections, established ones counting 256 times",
		model.WeightedLeastConnection: "it has the fewest connections for its weight, established ones counting 256 times",
		model.ShortestExpectedDelay:   "with one connection more it has the fewest established for its weight",
		model.NeverQueue:              "it is the first without an established connection, or else has the fewest for its weight",
		model.WeightedFailover:        "it is the server of the highest weight that is left",
		model.WeightedOverflow:        "it is the server of the highest weight that has room",
		model.SourceHash:              "the client's address leads to it",
		model.MaglevHash:              "the client's address leads to it",
	}[k.now.Scheduler]
	if k.now.Flags.Port && (k.now.Scheduler == model.SourceHash || k.now.Scheduler == model.MaglevHash) {
		what = "the client's address and port lead to it"
	}
	return fmt.Sprintf("scheduler %s: %s", k.now.Scheduler, what)
}

// doubt says why the choice cannot be foretold.
func doubt(c *schedule.Choice) string {
	var text string
	switch c.Doubt {
	case schedule.Turn:
		text = "the servers take turns, and the kernel does not show whose it is: the choice cannot be foretold"
	case schedule.Port:
		text = "the choice depends on the client's port: ask with ADDRESS:PORT"
	case schedule.Threshold:
		text = "a server is between minConnections and maxConnections, and the kernel does not show whether it counts as full: the choice cannot be foretold"
	default:
		text = "this program does not know the scheduling method that the kernel runs"
	}
	if c.MayRefuse {
		text += "; it may also be that none takes the connection"
	}
	return text
}
