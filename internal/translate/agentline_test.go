package translate_test

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/truepacs/balancer/dataplane/checks"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/internal/testutil/badspecs"
	"github.com/truepacs/balancer/internal/translate"
)

// TestAgentThatReadsALine: an agent waits for the end of the line before it answers, and its first
// word counts, also if it is never heard again.
func TestAgentThatReadsALine(t *testing.T) {
	agent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	go func() {
		conn, err := agent.Accept()
		if err != nil {
			return
		}
		text, _ := bufio.NewReader(conn).ReadString('\n')
		_, _ = io.WriteString(conn, "stopped\n")
		_ = conn.Close()
		_ = agent.Close()
		got <- text
	}()
	t.Cleanup(func() { _ = agent.Close() })
	port := int64(agent.Addr().(*net.TCPAddr).Port)
	b := typed(t, badspecs.Object(badspecs.Edits{"spec.serverPools[0].healthChecks": badspecs.List{badspecs.Block{
		"type": "Agent", "agent": badspecs.Block{"port": port, "send": "state"},
	}}}))
	target := translate.Translate(sampleInput(t, b, nil)).Node.Targets[0]
	target.Address = agent.Addr().(*net.TCPAddr).AddrPort().Addr()
	verdicts := make(chan model.Verdict, 64)
	c := checks.New(logr.Discard(), func(_ string, v model.Verdict) { verdicts <- v })
	defer c.Close()
	c.Set([]model.Target{target}, map[string]bool{target.Key: true})
	deadline := time.After(20 * time.Second)
	for {
		select {
		case v := <-verdicts:
			if v.Known && !v.Healthy {
				if text := <-got; text != "state\n" || v.Reason != "AgentReportsDown" {
					t.Errorf("the agent got %q, the verdict is %+v", text, v)
				}
				return
			}
		case <-deadline:
			t.Fatal("the agent's only word, stopped, did not count")
		}
	}
}
