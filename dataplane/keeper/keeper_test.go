package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/testutil/loopback"
	"go.uber.org/goleak"
)

// echoProxy is a Handler that answers each connection with its own name.
type echoProxy struct {
	name string
	mu   sync.Mutex
	open map[netip.AddrPort]net.Listener
	fail error
	out  bool

	tickets []model.TicketSecret
}

func (p *echoProxy) Apply(proxy model.Proxy, sockets map[netip.AddrPort]*Socket) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return p.fail
	}
	if p.out {
		return errors.New("draining")
	}
	wanted := map[netip.AddrPort]bool{}
	for _, l := range proxy.Listeners {
		wanted[l.Address] = true
		if p.open[l.Address] != nil {
			continue
		}
		listener, err := sockets[l.Address].Listener()
		if err != nil {
			return err
		}
		p.open[l.Address] = listener
		go p.accept(listener)
	}
	for addr, l := range p.open {
		if !wanted[addr] {
			l.Close()
			delete(p.open, addr)
		}
	}
	return nil
}

func (p *echoProxy) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, p.name)
		c.Close()
	}
}

func (p *echoProxy) Drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = true
	p.close()
}

func (p *echoProxy) close() {
	for addr, l := range p.open {
		l.Close()
		delete(p.open, addr)
	}
}

func (p *echoProxy) drained() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out
}

func (p *echoProxy) Tickets() []model.TicketSecret {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tickets
}

func (p *echoProxy) SetTickets(list []model.TicketSecret) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tickets = list
}

// hasTicket tells whether the newest secret is this one.
func (p *echoProxy) hasTicket(key string) bool {
	list := p.Tickets()
	return len(list) > 0 && string(list[0].Key) == key
}

func (p *echoProxy) Status() Status { return Status{Connections: 7, Draining: p.drained()} }

// process is a Server or Client that runs until stopped.
type process struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func start(run func(context.Context)) *process {
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{cancel, make(chan struct{})}
	go func() { defer close(p.done); run(ctx) }()
	return p
}

func (p *process) stop() { p.cancel(); <-p.done }

func startServer(t *testing.T, path string) (*Server, *process) {
	t.Helper()
	s := NewServer(ServerConfig{Log: logr.Discard(), Path: path, Group: -1})
	return s, start(func(ctx context.Context) {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
}

func startClient(path, name string) (*echoProxy, *process) {
	h := &echoProxy{name: name, tickets: []model.TicketSecret{{Key: []byte(name)}}, open: map[netip.AddrPort]net.Listener{}}
	c := NewClient(ClientConfig{Log: logr.Discard(), Path: path, ProxyVersion: name, ReportEvery: 20 * time.Millisecond}, h)
	return h, start(func(ctx context.Context) {
		c.Run(ctx)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.close()
	})
}

func proxyOn(addrs ...netip.AddrPort) model.Proxy {
	var p model.Proxy
	for _, a := range addrs {
		p.Listeners = append(p.Listeners, model.Listener{Name: "ns/b/s@" + a.String(), Service: "ns/b/s", Address: a})
	}
	return p
}

func ask(addr netip.AddrPort) (string, error) {
	c, err := net.DialTimeout("tcp", addr.String(), 5*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	b, err := io.ReadAll(c)
	return string(b), err
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("did not happen: %s", what)
}

func set(t *testing.T, s *Server, p model.Proxy) {
	t.Helper()
	if err := s.Set(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

func TestProxyServesSocketsOfAgent(t *testing.T) {
	defer goleak.VerifyNone(t)
	path := filepath.Join(t.TempDir(), "keeper.sock")
	a, b := loopback.Free(t), loopback.Free(t)
	server, agent := startServer(t, path)
	defer agent.stop()
	set(t, server, proxyOn(a))
	_, proxy := startClient(path, "one")
	defer proxy.stop()
	if got, err := ask(a); got != "one" || err != nil {
		t.Fatalf("answer %q, %v", got, err)
	}
	set(t, server, proxyOn(a, b))
	if got, err := ask(b); got != "one" || err != nil {
		t.Fatalf("answer on added listener %q, %v", got, err)
	}
	set(t, server, proxyOn(b))
	eventually(t, "removed listener is closed", func() bool { _, err := ask(a); return err != nil })
	set(t, server, proxyOn(a, b))
	if got, err := ask(a); got != "one" || err != nil {
		t.Fatalf("answer on listener that came back %q, %v", got, err)
	}
	eventually(t, "proxy reports", func() bool {
		st := server.State()
		return st.Connected && st.Current && st.Status.Connections == 7
	})
}

// TestRestartsRefuseNobody restarts agent and proxy in turn, under clients that connect all the time.
func TestRestartsRefuseNobody(t *testing.T) {
	defer goleak.VerifyNone(t)
	path := filepath.Join(t.TempDir(), "keeper.sock")
	addr := loopback.Free(t)
	server, agent := startServer(t, path)
	set(t, server, proxyOn(addr))
	_, proxy := startClient(path, "0")
	eventually(t, "proxy has the socket", func() bool { return server.State().Current })
	stopClients, asked := askAllTheTime(t, addr)
	name := "0"
	for round := 1; round <= 10; round++ {
		if round%2 == 0 {
			proxy.stop()
			name = fmt.Sprint(round)
			_, proxy = startClient(path, name)
		} else {
			agent.stop()
			server, agent = startServer(t, path)
			_ = server.Set(t.Context(), proxyOn(addr)) // the proxy still holds the port
		}
		eventually(t, "proxy is current again", func() bool {
			st := server.State()
			return st.Current && st.Version == name && server.Set(t.Context(), proxyOn(addr)) == nil
		})
	}
	stopClients()
	if n := asked(); n < 50 {
		t.Errorf("only %d connections were made, the sample is too small", n)
	}
	proxy.stop()
	agent.stop()
}

func askAllTheTime(t *testing.T, addr netip.AddrPort) (stop func(), asked func() int) {
	done, finished := make(chan struct{}), make(chan struct{})
	count := 0
	go func() {
		defer close(finished)
		for {
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
			if got, err := ask(addr); err != nil || got == "" {
				t.Errorf("connection %d: %q, %v", count, got, err)
				return
			}
			count++
		}
	}()
	return func() { close(done); <-finished }, func() int { return count }
}

func TestNewerProxyTakesOver(t *testing.T) {
	defer goleak.VerifyNone(t)
	path := filepath.Join(t.TempDir(), "keeper.sock")
	addr := loopback.Free(t)
	server, agent := startServer(t, path)
	defer agent.stop()
	set(t, server, proxyOn(addr))
	old, oldProxy := startClient(path, "old")
	defer oldProxy.stop()
	eventually(t, "old proxy runs", func() bool { return server.State().Current })
	_, newProxy := startClient(path, "new")
	defer newProxy.stop()
	eventually(t, "old proxy is drained", old.drained)
	for range 20 {
		if got, err := ask(addr); got != "new" || err != nil {
			t.Fatalf("answer %q, %v", got, err)
		}
	}
}

func TestRefusedConfigurationIsReported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keeper.sock")
	addr := loopback.Free(t)
	server, agent := startServer(t, path)
	defer agent.stop()
	h, proxy := startClient(path, "x")
	defer proxy.stop()
	h.mu.Lock()
	h.fail = fmt.Errorf("certificate does not match its key")
	h.mu.Unlock()
	set(t, server, proxyOn(addr))
	eventually(t, "refusal arrives", func() bool {
		st := server.State()
		return !st.Current && st.Status.Refused == "certificate does not match its key"
	})
}

func TestTakenPortIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keeper.sock")
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken, free := l.Addr().(*net.TCPAddr).AddrPort(), loopback.Free(t)
	server, agent := startServer(t, path)
	defer agent.stop()
	err = server.Set(t.Context(), proxyOn(taken, free))
	items, rest := model.ItemErrors(err)
	if rest != nil || items["ns/b/s"] == nil || items["ns/b/s"].Reason != ReasonPortInUse {
		t.Fatalf("error %v", err)
	}
	_, proxy := startClient(path, "y")
	defer proxy.stop()
	if got, err := ask(free); got != "y" || err != nil {
		t.Fatalf("the other listener: %q, %v", got, err)
	}
}

func TestSocketNeedsNoAddressOnTheHost(t *testing.T) {
	s, err := Listen(netip.MustParseAddrPort("192.0.2.77:104"))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestIPv6SocketNeedsNoAddressOnTheHostAndTakesNoIPv4(t *testing.T) {
	s, err := Listen(netip.MustParseAddrPort("[2001:db8::77]:104"))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	all, err := Listen(netip.AddrPortFrom(netip.IPv6Unspecified(), loopback.FreePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	if c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", all.Address().Port())); err == nil {
		c.Close()
		t.Error("an IPv6 socket took an IPv4 connection")
	}
}

func TestAddressesThatNoSocketHasAreRefused(t *testing.T) {
	for _, text := range []string{"[::ffff:192.0.2.1]:104", "[fe80::1%lo]:104"} {
		if s, err := Listen(netip.MustParseAddrPort(text)); err == nil {
			s.Close()
			t.Errorf("listens on %s", text)
		}
	}
	if _, err := Listen(netip.AddrPort{}); err == nil {
		t.Error("listens on no address")
	}
}

// TestIPv6SocketsArePassed restarts the agent, which gets its IPv6 socket back from the proxy.
func TestIPv6SocketsArePassed(t *testing.T) {
	defer goleak.VerifyNone(t)
	path := filepath.Join(t.TempDir(), "keeper.sock")
	addr := netip.AddrPortFrom(netip.IPv6Loopback(), loopback.FreePort(t))
	server, agent := startServer(t, path)
	set(t, server, proxyOn(addr))
	_, proxy := startClient(path, "six")
	defer proxy.stop()
	if got, err := ask(addr); got != "six" || err != nil {
		t.Fatalf("answer %q, %v", got, err)
	}
	agent.stop()
	server, agent = startServer(t, path)
	defer agent.stop()
	eventually(t, "the agent has the socket again", func() bool {
		return server.Set(t.Context(), proxyOn(addr)) == nil && server.State().Current
	})
	if got, err := ask(addr); got != "six" || err != nil {
		t.Errorf("answer after the restart %q, %v", got, err)
	}
}
