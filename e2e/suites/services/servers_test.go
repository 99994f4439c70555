package services

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"testing"

	"github.com/truepacs/balancer/dataplane/testutil/printed"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/suite"
)

// startServers starts what answers clients, checks and agents' clients on all servers.
func (w *world) startServers(t *testing.T) {
	t.Helper()
	peer := filepath.Join(t.TempDir(), "peer")
	suite.Must(t, lab.BuildStatic(t.Context(), "./e2e/talk/peer", peer))
	for name, host := range w.hosts {
		argv := []string{peer, name}
		for port := fallbackPort; port <= otherPort; port++ {
			argv = append(argv, fmt.Sprint(port))
		}
		out := &printed.Text{}
		_, err := host.Start(context.WithoutCancel(t.Context()), lab.ProcessSpec{Argv: argv, Stdout: out, Stderr: out})
		suite.Must(t, err)
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("the server %s printed: %s", name, out)
			}
		})
		for _, port := range []int{fallbackPort, failoverPort, slowStartPort, useAllPort, refusePort} {
			w.open(t, port, name)
		}
		w.serveAgent(t, name, host)
	}
	t.Cleanup(func() {
		for _, gate := range w.gates {
			_ = gate.Close()
		}
	})
}

// open lets the check of a service pass on servers.
func (w *world) open(t *testing.T, port int, servers ...string) {
	t.Helper()
	for _, name := range servers {
		gate, err := w.hosts[name].Listen(t.Context(), "tcp4", fmt.Sprintf(":%d", port+checkOffset))
		suite.Must(t, err)
		w.mu.Lock()
		w.gates[fmt.Sprint(name, port)] = gate
		w.mu.Unlock()
		go func() {
			for {
				c, err := gate.Accept()
				if err != nil {
					return
				}
				_ = c.Close()
			}
		}()
	}
}

// shut lets the check of a service fail on servers: they go on serving.
func (w *world) shut(t *testing.T, port int, servers ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range servers {
		suite.Must(t, w.gates[fmt.Sprint(name, port)].Close())
	}
}

// serveAgent answers as an agent of HAProxy's protocol does.
func (w *world) serveAgent(t *testing.T, name string, host *lab.Namespace) {
	t.Helper()
	w.answer(name, "up ready 100%")
	suite.Must(t, host.Serve(t.Context(), "tcp4", fmt.Sprintf(":%d", agentAt), func(c net.Conn) {
		w.mu.Lock()
		text := w.answers[name]
		w.mu.Unlock()
		_, _ = fmt.Fprintln(c, text)
	}))
}

// answer is what the agent on a server says from now on.
func (w *world) answer(server, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[server] = text
}
