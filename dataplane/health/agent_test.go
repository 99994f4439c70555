package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/truepacs/balancer/dataplane/health/agentcheck"
)

// says is a server whose agent answers text and closes.
func says(text string) behaviour {
	return func(context.Context) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.WriteString(theirs, text); theirs.Close() }()
		return &pipe{ours, theirs}, nil
	}
}

func agentTarget(initial Initial) Target {
	return Target{Key: "a", Address: netip.MustParseAddr(hostA), Initial: initial, Checks: []Check{{Type: Agent, Port: 104}}}
}

// TestAgentStory: each answer changes what it mentions and nothing else; silence changes nothing.
func TestAgentStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		for i, step := range []struct {
			server  behaviour
			healthy bool
			reason  Reason
			agent   agentcheck.State
		}{
			{nil, true, AgentSilent, agentcheck.State{}}, // a new server is not held back
			{says("75%\n"), true, "", agentcheck.State{Weighted: true, Percent: 75}},
			{says("drain\r\n"), true, AgentDrains, agentcheck.State{Weighted: true, Percent: 75, Admin: agentcheck.Drain}},
			{nil, true, AgentDrains, agentcheck.State{Weighted: true, Percent: 75, Admin: agentcheck.Drain}}, // what holds comes first
			{says("ready 0%"), true, AgentDrains, agentcheck.State{Weighted: true, Admin: agentcheck.Ready}},
			{says("ready 100%"), true, "", agentcheck.State{Weighted: true, Percent: 100, Admin: agentcheck.Ready}},
			{says("down # disk full\n"), false, AgentReportsDown, agentcheck.State{Weighted: true, Percent: 100, Admin: agentcheck.Ready, Down: true}},
			{silent, false, AgentReportsDown, agentcheck.State{Weighted: true, Percent: 100, Admin: agentcheck.Ready, Down: true}},
			{says("100%\n"), false, AgentReportsDown, agentcheck.State{Weighted: true, Percent: 100, Admin: agentcheck.Ready, Down: true}},
			{says("up\n"), true, "", agentcheck.State{Weighted: true, Percent: 100, Admin: agentcheck.Ready}},
			{says("garbage\n"), true, AgentSilent, agentcheck.State{Weighted: true, Percent: 100, Admin: agentcheck.Ready}},
		} {
			l.net.set(portA, step.server)
			l.Set([]Target{agentTarget(InitiallyUnknown)})
			sleep(9 * time.Second) // one period and a timeout
			v := l.Verdicts()["a"]
			if v.Healthy != step.healthy || v.Reason != step.reason || v.Agent != step.agent {
				t.Errorf("step %d: %+v", i, v)
			}
		}
	})
}

// TestAgentSendsFirst: on a real socket, the agent gets the configured text verbatim.
func TestAgentSendsFirst(t *testing.T) {
	got := make(chan string, 1)
	at := serve(t, func(c net.Conn) {
		b := make([]byte, 6)
		_, _ = io.ReadFull(c, b)
		got <- string(b)
		_, _ = io.WriteString(c, "up 50%\n")
	})
	r := probeOnce(t, at, Check{Type: Agent, Agent: AgentCheck{Send: "state\n"}})
	if s := <-got; s != "state\n" || !r.Replied || r.Reply.Percent != 50 || r.Reply.Operation != agentcheck.Up {
		t.Errorf("sent %q, got %+v", s, r)
	}
}

func TestProgramResults(t *testing.T) {
	cases := map[string]struct {
		result ProgramResult
		off    bool
		grade  Grade
		reason Reason
	}{
		"pass":      {result: ProgramResult{Output: "fine"}},
		"fail":      {result: ProgramResult{Exit: 1, Output: "no archive"}, grade: Fail, reason: ProgramFailed},
		"odd":       {result: ProgramResult{Exit: 2}, grade: Inconclusive, reason: LocalFault},
		"timed out": {result: ProgramResult{TimedOut: true}, grade: Fail, reason: ProgramTimeout},
		"broken":    {result: ProgramResult{Err: errors.New("forbidden")}, grade: Inconclusive, reason: LocalFault},
		"off":       {off: true, grade: Inconclusive, reason: InvalidCheck},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var call ProgramCall
			run := func(_ context.Context, c ProgramCall) ProgramResult { call = c; return tc.result }
			m := NewMonitor(Config{RunProgram: run})
			if tc.off {
				m.Close()
				m = NewMonitor(Config{})
			}
			defer m.Close()
			check := Check{Type: External, Port: 104, External: ExternalCheck{Program: "archive"}}.withDefaults()
			r := m.probe(t.Context(), newProber(netip.MustParseAddr(hostA), check))
			if r.Grade != tc.grade || r.Reason != tc.reason || !strings.Contains(r.Message, tc.result.Output) && r.Reason != "" {
				t.Errorf("%+v", r)
			}
			want := ProgramCall{Name: "archive", Server: netip.MustParseAddrPort(portA), Timeout: DefaultTimeout}
			if !tc.off && call != want {
				t.Errorf("called with %+v", call)
			}
		})
	}
}

func TestCheckThroughTheVIP(t *testing.T) {
	vip := netip.MustParseAddr("192.0.2.100")
	cases := map[string]struct {
		err    error
		grade  Grade
		reason Reason
	}{
		"passes":      {nil, Pass, ""},
		"no VIP":      {fmt.Errorf("x: %w: %w", ErrNoVIP, context.DeadlineExceeded), Fail, NoVIP},
		"off segment": {ErrOffSegment, Fail, OffSegment},
		"unprepared":  {ErrUnprepared, Inconclusive, LocalFault},
		"timeout":     {context.DeadlineExceeded, Fail, ConnectTimeout},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := NewMonitor(Config{DialVia: func(_ context.Context, v netip.AddrPort, s netip.Addr) (net.Conn, error) {
				if v != netip.AddrPortFrom(vip, 104) || s != netip.MustParseAddr(hostA) {
					t.Errorf("dialled %v by %v", v, s)
				}
				if tc.err != nil {
					return nil, tc.err
				}
				return accepts(t.Context())
			}})
			defer m.Close()
			check := Check{Type: TCP, Port: 104, Via: vip}.withDefaults()
			r := m.probe(t.Context(), newProber(netip.MustParseAddr(hostA), check))
			if r.Grade != tc.grade || r.Reason != tc.reason || tc.reason == NoVIP && !strings.Contains(r.Message, vip.String()) {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestDetectionWithJitter: the promise of the benchmark, whatever the random source: a server that
// dies at any time is down within period times threshold plus 200 ms.
func TestDetectionWithJitter(t *testing.T) {
	for _, period := range []time.Duration{time.Second, 10 * time.Second} {
		for seed := range uint64(20) {
			synctest.Test(t, func(t *testing.T) {
				n, rec := newNetwork(), &recorder{start: time.Now()}
				n.set(portA, accepts)
				m := NewMonitor(Config{Dial: n.dial, OnChange: rec.onChange, Seed: seed + 1})
				defer m.Close()
				m.Set([]Target{{Key: "a", Address: netip.MustParseAddr(hostA), Checks: []Check{{
					Type: TCP, Port: 104, Period: period, FastPeriod: period, Fall: 3,
				}}}})
				sleep(time.Duration(seed)*77*time.Millisecond + 3*period)
				// The worst moment is just after a probe.
				for before := len(n.attempts(portA)); len(n.attempts(portA)) == before; {
					sleep(time.Millisecond)
				}
				n.set(portA, nil)
				died := time.Since(rec.start)
				sleep(5 * period)
				got := rec.take()
				last := got[len(got)-1]
				if took := last.after - died; last.healthy || took > 3*period+200*time.Millisecond {
					t.Errorf("seed %d: down after %v", seed, took)
				}
			})
		}
	}
}

// TestPeriodsDriftApart: targets that start together do not stay together.
func TestPeriodsDriftApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		n.set(portA, accepts)
		m := NewMonitor(Config{Dial: n.dial, Seed: 7})
		defer m.Close()
		m.Set([]Target{tcpTarget("a", hostA, 104)})
		sleep(time.Hour)
		gaps := map[time.Duration]int{}
		at := n.attempts(portA)
		for i := 1; i < len(at); i++ {
			gap := at[i].Sub(at[i-1])
			gaps[gap]++
			if gap < 4700*time.Millisecond || gap > 5100*time.Millisecond {
				t.Fatalf("gap of %v", gap)
			}
		}
		if len(gaps) < 3 {
			t.Errorf("only %d different gaps", len(gaps))
		}
	})
}
