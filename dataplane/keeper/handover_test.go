package keeper

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/testutil/loopback"
)

// TestNewProxyGetsSocketsThatAnOlderOneBringsLater starts a new agent whose first proxy is the
// newest one, which holds no socket; the older proxy, which holds them, comes after it.
func TestNewProxyGetsSocketsThatAnOlderOneBringsLater(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir, addr := t.TempDir(), loopback.Free(t)
	first, firstAgent := startServer(t, filepath.Join(dir, "first.sock"))
	set(t, first, proxyOn(addr))
	oldPath, newPath := filepath.Join(dir, "first.sock"), filepath.Join(dir, "second.sock")
	old, oldProxy := startClient(oldPath, "old")
	defer oldProxy.stop()
	eventually(t, "the old proxy has the socket", func() bool { return first.State().Current })

	second, secondAgent := startServer(t, newPath)
	defer secondAgent.stop()
	if err := second.Set(t.Context(), proxyOn(addr)); err == nil {
		t.Fatal("the port was free: the case is not what it should be")
	}
	_, newProxy := startClient(newPath, "new")
	defer newProxy.stop()
	eventually(t, "the new proxy runs what there is", func() bool { return second.State().Current })

	firstAgent.stop() // the second takes its place, and the old proxy finds it
	if err := linkSocket(newPath, oldPath); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the old proxy is told to drain", old.drained)
	if got, err := ask(addr); got != "new" || err != nil {
		t.Errorf("answer %q, %v", got, err)
	}
	if state := second.State(); state.Version != "new" || !state.Current {
		t.Errorf("state %+v", state)
	}
}

// TestDrainedProxyIsNotCurrent: once the newer proxy is gone, nobody accepts.
func TestDrainedProxyIsNotCurrent(t *testing.T) {
	defer goleak.VerifyNone(t)
	path := filepath.Join(t.TempDir(), "agent.sock")
	server, agent := startServer(t, path)
	defer agent.stop()
	set(t, server, proxyOn(loopback.Free(t)))
	old, oldProxy := startClient(path, "old")
	defer oldProxy.stop()
	eventually(t, "the old proxy serves", func() bool { return server.State().Current })
	_, newProxy := startClient(path, "new")
	eventually(t, "the old proxy is told to drain", old.drained)
	newProxy.stop()
	eventually(t, "nobody is current", func() bool { return !server.State().Connected })
}

// TestDrainedProxyHoldsNoRemovedPort: a listener that is removed while a proxy that was replaced still has connections refuses
// clients, and can be had again.
func TestDrainedProxyHoldsNoRemovedPort(t *testing.T) {
	defer goleak.VerifyNone(t)
	path := filepath.Join(t.TempDir(), "agent.sock")
	server, agent := startServer(t, path)
	defer agent.stop()
	stays, goes := loopback.Free(t), loopback.Free(t)
	set(t, server, proxyOn(stays, goes))
	old, oldProxy := startClient(path, "old")
	defer oldProxy.stop()
	eventually(t, "the old proxy serves", func() bool { return server.State().Current })
	_, newProxy := startClient(path, "new")
	defer newProxy.stop()
	eventually(t, "the old proxy is told to drain", old.drained)

	set(t, server, proxyOn(stays))
	eventually(t, "the port refuses", func() bool {
		_, err := ask(goes)
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	set(t, server, proxyOn(stays, goes))
	eventually(t, "the new proxy serves the port again", func() bool {
		got, err := ask(goes)
		return got == "new" && err == nil
	})
}

// TestTicketsOutliveAProxy: a new proxy makes its clients' tickets with the secrets of the one before, also those that
// came later, and also over a new agent.
func TestTicketsOutliveAProxy(t *testing.T) {
	defer goleak.VerifyNone(t)
	path := filepath.Join(t.TempDir(), "agent.sock")
	addr := loopback.Free(t)
	server, agent := startServer(t, path)
	set(t, server, proxyOn(addr))
	old, oldProxy := startClient(path, "old")
	defer oldProxy.stop()
	eventually(t, "the old proxy serves", func() bool { return server.State().Current })
	agent.stop()
	server, agent = startServer(t, path)
	defer agent.stop()
	eventually(t, "the old proxy is back", func() bool { return server.State().Connected })
	set(t, server, proxyOn(addr))
	old.SetTickets([]model.TicketSecret{{Key: []byte("rotated")}, {Key: []byte("old")}})
	eventually(t, "the agent knows the new secret", func() bool {
		server.mu.Lock()
		defer server.mu.Unlock()
		return len(server.tickets) == 2
	})
	next, newProxy := startClient(path, "new")
	defer newProxy.stop()
	eventually(t, "the old proxy is told to drain", old.drained)
	if !next.hasTicket("rotated") {
		t.Error("the new proxy makes tickets of its own")
	}
	// What the old one says from now on does not count.
	for _, version := range []string{"new", "old"} {
		said := message{Kind: kindTickets, Tickets: []model.TicketSecret{{Key: []byte("of " + version)}}}
		if _, err := server.take(proxyOf(t, server, version), said, nil); err != nil {
			t.Error(err)
		}
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if got := string(server.tickets[0].Key); got != "of new" {
		t.Errorf("the agent keeps %s", got)
	}
}

// proxyOf is the connected proxy of a version.
func proxyOf(t *testing.T, s *Server, version string) *peer {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.proxies {
		if p.hello != nil && p.hello.ProxyVersion == version {
			return p
		}
	}
	t.Fatalf("no proxy of version %s is there", version)
	return nil
}

// linkSocket makes path lead to the socket at target.
func linkSocket(target, path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.Symlink(target, path)
}
