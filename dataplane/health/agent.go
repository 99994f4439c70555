package health

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/truepacs/balancer/dataplane/health/agentcheck"
)

// agentProber asks an agent on the server in HAProxy's agent-check protocol.
type agentProber struct {
	place
	check AgentCheck
}

func (p agentProber) ask(_ context.Context, conn net.Conn) Result {
	if p.check.Send != "" {
		if _, err := io.WriteString(conn, p.check.Send); err != nil && isTimeout(err) {
			return p.silent(err)
		}
	}
	line, err := readLine(conn)
	if err != nil {
		return p.silent(err)
	}
	reply, err := agentcheck.Parse(line)
	if err != nil {
		return p.silent(err)
	}
	return Result{Reply: reply, Replied: true}
}

func readLine(conn net.Conn) ([]byte, error) {
	buf := make([]byte, 0, agentcheck.MaxLine)
	for {
		n, err := conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		line, complete, lineErr := agentcheck.Line(buf, errors.Is(err, io.EOF))
		if complete {
			return line, lineErr
		}
		if err != nil {
			return nil, err
		}
	}
}

// silent is the result of a probe that brought no answer; progress.record decides what it means.
func (p place) silent(err error) Result {
	return p.result(Inconclusive, AgentSilent, "no usable answer (%v). Look at the agent, or correct the port of the health check; what it "+
		"said before still holds, and whether the server works is for its other checks to say.", rootCause(err))
}

// agentResult turns an answer, or silence, into a grade. A silent agent takes no server down, nor
// holds back a new one: it passes, unless the agent's last word was "down", which only "up" lifts.
func (p *progress) agentResult(r Result) Result {
	if r.Reason == LocalFault || r.Reason == InvalidCheck {
		return r
	}
	at := place{what: "agent", address: p.at}
	if !r.Replied {
		r.Grade, r.Reason = Pass, AgentSilent
		switch w, drains := at.withdrawn(p.agent, ""); {
		case p.agent.Down:
			r.Grade = Inconclusive
		case drains:
			w.Message += " It does not answer now, so that this holds: " + r.Message
			return w
		}
		return r
	}
	p.agent = p.agent.Take(r.Reply)
	said := ""
	if r.Reply.Message != "" {
		said = " (" + r.Reply.Message + ")"
	}
	if p.agent.Down {
		return at.fail(AgentReportsDown, "the agent on the server reports that the service is down%s. Look at the server; "+
			"only the answer \"up\" brings it back.", said)
	}
	r, _ = at.withdrawn(p.agent, said)
	return r
}

// withdrawn is the result for a server that its agent gives no new connections although it is well;
// false: it gives it some.
func (p place) withdrawn(s agentcheck.State, said string) (Result, bool) {
	switch {
	case s.Admin == agentcheck.Maintenance:
		return p.result(Pass, AgentMaintains, "the agent has put the server into maintenance%s; the answer \"ready\" ends that.", said), true
	case s.Admin == agentcheck.Drain:
		return p.result(Pass, AgentDrains, "the agent asks for no new connections%s; the answer \"ready\" ends that.", said), true
	case s.Weighted && s.Percent <= 0:
		return p.result(Pass, AgentDrains, "the agent asks for 0%% of the server's weight%s, so that it gets no new connections; a greater share ends that.", said), true
	}
	return Result{}, false
}

// agentSays joins what the agents of a target say.
func agentSays(checks []progress) agentcheck.State {
	var s agentcheck.State
	for _, c := range checks {
		s = s.Stricter(c.agent)
	}
	return s
}
