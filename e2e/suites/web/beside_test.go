package web

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/peers"
	"github.com/truepacs/balancer/e2e/suite"
)

// programs are ours and those beside it, whose judgement is shown and fails nothing.
var programs = []peers.Program{peers.TruePACS, peers.HAProxy, peers.NGINX, peers.NetHTTP}

// opinion is what a program has made of classes.
type opinion struct {
	// passed are ambiguous classes of which a server got something, by name; whole those that it took for requests.
	passed, whole map[string]bool
	// refused are valid classes of which no server got a request, altered those of which it got another one than the
	// class says.
	refused, altered []string
}

// TestBesideOthers sends the same classes to TruePACS, HAProxy, nginx and net/http and prints what each of them passes on.
func TestBesideOthers(t *testing.T) {
	t.Parallel()
	const quiet = 300 * time.Millisecond
	opinions := make([]opinion, len(programs))
	var all sync.WaitGroup
	for i, program := range programs {
		in := newHost(t)
		servers := newWitness(t, in, server+":8080")
		p := peers.Start(t, in, program, front(web("web", 80, servers.address)))
		all.Go(func() { opinions[i] = ask(t, p, servers, quiet) })
	}
	all.Wait()
	ambiguous := make([][]string, len(programs))
	t.Logf("| about | classes | %s, %s, %s, %s: passed on (as whole requests) |", programs[0], programs[1], programs[2], programs[3])
	for _, g := range groups() {
		row := fmt.Sprintf("| %s | %d |", g.name, len(g.classes))
		for i := range programs {
			passed, whole := 0, 0
			for _, a := range g.classes {
				if opinions[i].passed[a.name] {
					passed++
					ambiguous[i] = append(ambiguous[i], a.name)
				}
				if opinions[i].whole[a.name] {
					whole++
				}
			}
			row += fmt.Sprintf(" %d (%d) |", passed, whole)
		}
		t.Log(row)
	}
	for i, program := range programs {
		o := opinions[i]
		if len(o.passed) == len(requests()) || len(o.refused) == len(allowed()) {
			t.Errorf("%s passed on everything or nothing: it was not asked", program)
		}
		if program == peers.TruePACS && len(o.passed)+len(o.refused)+len(o.altered) > 0 {
			t.Errorf("%s is to pass on nothing that is ambiguous and all that is valid", program)
		}
		t.Logf("%s passed on: %s", program, strings.Join(ambiguous[i], "; "))
		t.Logf("%s refused: %s", program, strings.Join(o.refused, "; "))
		t.Logf("%s altered: %s", program, strings.Join(o.altered, "; "))
		suite.Verdict(t, "%s passed on %d of %d ambiguous classes, %d of them as whole requests; of %d valid ones it refused %d and altered %d",
			program, len(o.passed), len(requests()), len(o.whole), len(allowed()), len(o.refused), len(o.altered))
	}
}

// ask sends all classes to a program.
func ask(t *testing.T, p *peers.Peer, servers *witness, quiet time.Duration) opinion {
	o := opinion{passed: map[string]bool{}, whole: map[string]bool{}}
	try := func(wire string, answers int) []message {
		servers.forget()
		c, err := p.Dial(t.Context(), "web")
		if err != nil {
			t.Errorf("%s: %v", p.Program, err)
			return nil
		}
		defer c.Close()
		send(t, c, wire+trailing)
		_, _ = answersUpTo(c, answers, quiet)
		time.Sleep(5 * time.Millisecond) // for what is on its way to the server
		messages, _ := servers.seen()
		return slices.DeleteFunc(messages, func(m message) bool { return m.line() == "GET /trailing HTTP/1.1" })
	}
	for _, a := range requests() {
		messages := try(a.wire, 2)
		if servers.bytes() > 0 {
			o.passed[a.name] = true
		}
		if len(messages) > 0 {
			o.whole[a.name] = true
		}
	}
	for _, v := range allowed() {
		n := 2
		if v.last {
			n = 1
		}
		messages := try(v.wire, n)
		if len(messages) == 0 { // its connection to the server may have been at its end
			messages = try(v.wire, n)
		}
		switch {
		case len(messages) == 0:
			o.refused = append(o.refused, v.name)
		case strings.Replace(messages[0].line(), "HTTP/1.0", "HTTP/1.1", 1) != v.line() || messages[0].body != v.body:
			o.altered = append(o.altered, v.name)
		}
	}
	return o
}
