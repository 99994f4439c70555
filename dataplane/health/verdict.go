package health

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/truepacs/balancer/dataplane/health/agentcheck"
)

// Verdict is what holds about a target now.
type Verdict struct {
	// Healthy: it may get new connections.
	Healthy bool
	// Known: checks have decided. Unknown and healthy is a target declared InitiallyHealthy that
	// no check has confirmed; unknown and not healthy is one that nobody has asked yet.
	Known bool
	// Reason says why in one word; empty if all checks pass and there is nothing to add.
	Reason Reason
	// Message is a sentence or two for the administrator: what failed, where, what to do.
	Message string
	// Since is when Healthy or Known last changed.
	Since time.Time
	// Cause is the type of the check that Reason comes from; empty if it comes from none.
	Cause Type
	// Agent is what the agents on the target say; the zero value: there is none, or it said nothing.
	Agent agentcheck.State
}

// sameButSince compares what the receiver of a verdict would show.
func (v Verdict) sameButSince(o Verdict) bool {
	o.Since = v.Since
	return v == o
}

// Result is what one probe found.
type Result struct {
	Grade Grade
	// Reason and Message as in Verdict; a Pass has them only if there is something to report.
	Reason  Reason
	Message string
	// Reply is an agent's answer; it counts if Replied is set.
	Reply   agentcheck.Reply
	Replied bool
}

// progress is a check's machine and the results that its verdict quotes.
type progress struct {
	check   Check
	state   State
	failure Result // the last Fail
	last    Result
	// usual is how long passes took lately, see learn.
	usual time.Duration
	// at and agent belong to type Agent: where it is and what it has said.
	at    netip.AddrPort
	agent agentcheck.State
}

// record takes one result in and returns the delay to the next probe.
func (p *progress) record(r Result) time.Duration {
	if p.check.Type == Agent {
		r = p.agentResult(r)
	}
	var delay time.Duration
	p.state, delay = p.state.Step(r.Grade, p.check.policy())
	p.last = r
	if r.Grade == Fail {
		p.failure = r
	}
	return delay
}

// note returns what the last probe has to report beside pass or fail.
func (p *progress) note() (Result, bool) {
	return p.last, p.last.Grade != Fail && p.last.Reason != ""
}

// decide returns the verdict over all checks, without notes and without Since: down if any has
// decided so, up if all have, else as before. Checks that are new to a target thus leave its
// verdict alone until they decide; if another check took the target down meanwhile and has
// recovered, those that are assumed healthy do not hold it down.
func decide(before Verdict, checks []progress) Verdict {
	if len(checks) == 0 {
		return Verdict{Healthy: true, Known: true, Reason: NoChecks, Message: "No health check is configured; the server is taken for healthy."}
	}
	if c, ok := firstDown(checks); ok {
		return Verdict{Known: true, Reason: c.failure.Reason, Message: c.failure.Message, Cause: c.check.Type}
	}
	decided := every(checks, State.Decided)
	up := every(checks, func(s State) bool { return s.Status == Healthy })
	if decided || up && !before.Healthy {
		return Verdict{Healthy: true, Known: true}
	}
	before.Since = time.Time{}
	return before
}

// firstDown returns the first check that has decided that the target is down.
func firstDown(checks []progress) (progress, bool) {
	for i := range checks {
		if s := checks[i].state; s.Decided() && s.Status == Unhealthy {
			return checks[i], true
		}
	}
	return progress{}, false
}

func every(checks []progress, is func(State) bool) bool {
	for i := range checks {
		if !is(checks[i].state) {
			return false
		}
	}
	return true
}

// annotate adds what the last probes noted, unless there is a failure to report: that the server
// gets no new connections comes before anything else.
func annotate(v Verdict, checks []progress) Verdict {
	if _, down := firstDown(checks); down {
		return v
	}
	noted := false
	for _, c := range checks {
		note, ok := c.note()
		if ok && (!noted || note.Reason.withdraws() && !v.Reason.withdraws()) {
			v.Reason, v.Message, v.Cause = note.Reason, note.Message, c.check.Type
			noted = true
		}
	}
	return v
}

// dated gives v its Since: that of before unless Healthy or Known changed.
func dated(before, v Verdict, now time.Time) Verdict {
	v.Since = now
	if before.Healthy == v.Healthy && before.Known == v.Known && !before.Since.IsZero() {
		v.Since = before.Since
	}
	return v
}

// verdict returns what holds about a target before any check.
func (i Initial) verdict(a netip.Addr) Verdict {
	const not = "%v has not been checked yet; "
	switch i {
	case InitiallyHealthy:
		return Verdict{Healthy: true, Reason: NotYetChecked, Message: fmt.Sprintf(not+"it stays in service as before until its checks decide.", a)}
	case InitiallyUnhealthy:
		return Verdict{Known: true, Reason: NotYetChecked, Message: fmt.Sprintf(not+"it stays out of service until a check passes.", a)}
	default:
		return Verdict{Reason: NotYetChecked, Message: fmt.Sprintf(not+"it gets no new connections until its checks pass.", a)}
	}
}
