package relay_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/nonblock"
	"github.com/truepacs/balancer/dataplane/relay"
)

// refusing is an address where nobody listens: it is bound, so nobody else can.
func refusing(t testing.TB) string {
	t.Helper()
	fd, err := nonblock.Stream(unix.AF_INET)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	must(t, nonblock.Bind(fd, netip.MustParseAddrPort("127.0.0.1:0")))
	at, err := nonblock.Local(fd)
	must(t, err)
	return at.String()
}

// silent is an address whose accept queue is full, so that SYNs are not answered.
func silent(t testing.TB) string {
	t.Helper()
	fd, err := nonblock.Stream(unix.AF_INET)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	must(t, nonblock.Bind(fd, netip.MustParseAddrPort("127.0.0.1:0")))
	must(t, unix.Listen(fd, 0))
	at, err := nonblock.Local(fd)
	must(t, err)
	for range 3 {
		c, err := nonblock.Stream(unix.AF_INET)
		must(t, err)
		t.Cleanup(func() { _ = unix.Close(c) })
		_ = nonblock.Connect(c, at)
	}
	return at.String()
}

func TestServerRefuses(t *testing.T) {
	p := start(t, defaults(), refusing(t))
	if c, err := net.Dial("tcp", p.addr); err == nil { // else the reset was faster
		defer c.Close()
		if n, err := c.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("the client saw %d, %v; want a reset", n, err)
		}
	}
	end := p.end(relay.ServerConnecting)
	if !errors.Is(end.Cause, unix.ECONNREFUSED) || end.Connect >= 0 {
		t.Errorf("%+v", end)
	}
}

func TestServerDoesNotAnswer(t *testing.T) {
	s := defaults()
	s.Connect = 100 * time.Millisecond
	p := start(t, s, silent(t))
	c := p.dial()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the client saw %v; want a reset", err)
	}
	if end := p.end(relay.ServerTimeoutConn); end.Cause != relay.ErrConnectTimeout || end.Total < s.Connect {
		t.Errorf("%+v", end)
	}
}

// TestNextServer: the owner names other servers after one refused and one stayed silent.
func TestNextServer(t *testing.T) {
	s := defaults()
	s.Connect = 100 * time.Millisecond
	p := start(t, s, refusing(t), silent(t), serve(t, echo))
	c := p.dial()
	_, err := c.Write([]byte("sent before anyone was reached"))
	must(t, err)
	must(t, c.CloseWrite())
	if b, err := io.ReadAll(c); err != nil || string(b) != "sent before anyone was reached" {
		t.Errorf("%q, %v", b, err)
	}
	p.end(relay.Normal)
}

func TestClientLeavesWhileConnecting(t *testing.T) {
	p := start(t, defaults(), silent(t))
	c := p.dial()
	must(t, c.SetLinger(0))
	must(t, c.Close())
	p.end(relay.ClientConnecting)
}

// TestSourceAddress: the server sees the address it is to see; one that this host does not have is an end.
func TestSourceAddress(t *testing.T) {
	server, conns := given(t)
	from := func(source string) *proxy {
		target := relay.Target{Server: netip.MustParseAddrPort(server), Source: netip.MustParseAddrPort(source)}
		return startOn(t, eventloop.Config{Loops: 1}, defaults(), target)
	}
	p := from("127.0.0.77:0")
	c := p.dial()
	at := wait(t, conns)
	if from := at.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); from.String() != "127.0.0.77" {
		t.Errorf("the server sees %v", from)
	}
	_, err := at.Write([]byte("x"))
	must(t, err)
	_, err = io.ReadFull(c, make([]byte, 1)) // the relay knows by now that the server was reached
	must(t, err)
	must(t, c.SetLinger(0))
	c.Close()
	p.end(relay.ClientData)
	q := from("192.0.2.77:0")
	if c, err := net.Dial("tcp", q.addr); err == nil { // else the reset was faster
		defer c.Close()
	}
	if end := q.end(relay.ResourceConnecting); !errors.Is(end.Cause, unix.EADDRNOTAVAIL) {
		t.Errorf("cause %v", end.Cause)
	}
}

// TestIdle: nothing moves; the side that is waited for with the least patience is named.
func TestIdle(t *testing.T) {
	const short = 100 * time.Millisecond
	for name, tc := range map[string]struct {
		client, server time.Duration
		want           relay.Reason
	}{
		"client": {client: short, server: time.Minute, want: relay.ClientTimeout},
		"server": {client: time.Minute, server: short, want: relay.ServerTimeout},
		"both":   {client: short, server: short, want: relay.ClientTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			for busyHost := true; busyHost; {
				busyHost = idle(t, tc.client, tc.server, short, tc.want)
			}
		})
	}
}

// idle has the server send now and then for three times the limit, and then fall silent. true: the host was too
// busy for the test to send in time.
func idle(t *testing.T, client, server, short time.Duration, want relay.Reason) (late bool) {
	at, conns := given(t)
	s := defaults()
	s.ClientIdle, s.ServerIdle = client, server
	p := start(t, s, at)
	c, back := p.dial(), wait(t, conns)
	sent := 0
	for began, last := time.Now(), time.Now(); time.Since(began) < 3*short; sent++ {
		time.Sleep(short / 8)
		_, err := back.Write([]byte("x"))
		if gap := time.Since(last); gap > short/2 {
			return true
		}
		must(t, err)
		last = time.Now()
	}
	if b, err := io.ReadAll(c); err != nil || len(b) != sent {
		t.Errorf("the client saw %q of %d, %v", b, sent, err)
	}
	p.end(want)
	return false
}

// TestHalfClosedLimit: who was sent FIN and neither sends nor ends is given up.
func TestHalfClosedLimit(t *testing.T) {
	server, conns := given(t)
	s := defaults()
	s.HalfClosed = 100 * time.Millisecond
	p := start(t, s, server)
	c, back := p.dial(), wait(t, conns)
	must(t, c.CloseWrite())
	_, err := io.ReadAll(back)
	must(t, err)
	if _, err := io.ReadAll(c); err != nil {
		t.Error(err)
	}
	p.end(relay.ServerTimeout)
}

// TestStalledReader: of 1 GiB for a client that does not read, at most 1 MiB is held, in one pipe or block. When
// it reads again, bytes flow; when it never does, it is named, though the server has less time.
func TestStalledReader(t *testing.T) {
	server, conns := given(t)
	s := defaults()
	s.ServerIdle, s.ClientIdle = time.Second, 4*time.Second
	p := start(t, s, server)
	c, back := p.dial(), wait(t, conns)
	var all sync.WaitGroup
	all.Go(func() { _, _ = io.Copy(back, io.LimitReader(zeros{}, 1<<30)) })
	p.stalls()
	if n, err := io.CopyN(io.Discard, c, 64<<20); err != nil {
		t.Errorf("%d, %v", n, err)
	}
	p.stalls()
	end := p.end(relay.ClientTimeout)
	if end.ToClient < 64<<20 {
		t.Errorf("%+v", end)
	}
	back.Close()
	all.Wait()
}

// stalls waits until nothing moves, and watches what is held.
func (p *proxy) stalls() {
	p.t.Helper()
	for before, still, most := int64(-1), 0, 0; still < 10; time.Sleep(10 * time.Millisecond) {
		held, moved, lent := 0, int64(0), 0
		for i, l := range p.group.Loops() {
			p.on(i, func(r *relay.Relay) {
				r.Each(func(pair *relay.Pair) {
					held += pair.Held()
					_, down := pair.Bytes()
					moved += down
				})
				lent += l.BlocksLent() + l.PipesLent()
			})
		}
		if most = max(most, held); most > 1<<20 || lent > 1 {
			p.t.Fatalf("%d bytes are held, %d buffers", most, lent)
		}
		if still++; moved != before {
			before, still = moved, 0
		}
		if still == 9 && held == 0 {
			p.t.Fatal("nothing is held: the reader does not stall")
		}
	}
}

// TestKill: an administrator's end is a reset for both.
func TestKill(t *testing.T) {
	server, conns := given(t)
	p := start(t, defaults(), server)
	c, back := p.dial(), wait(t, conns)
	for i := range p.relays {
		p.on(i, func(r *relay.Relay) { r.Each(func(pair *relay.Pair) { pair.Kill('D') }) })
	}
	for _, side := range []*net.TCPConn{c, back} {
		if _, err := side.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("saw %v", err)
		}
	}
	p.end(relay.Reason{'D', 'D'})
}

// taken accepts a connection that has been made, and may not have come yet.
func taken(t testing.TB, listener int) int {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		fd, _, err := nonblock.Accept4(listener)
		if err == nil {
			return fd
		}
		if err != unix.EAGAIN || time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// TestSocketOptions: options given to a listening socket are those of its connections.
func TestSocketOptions(t *testing.T) {
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	l, err := plain.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		must(t, relay.Socket{NoDelay: true, UserTimeout: 1500 * time.Millisecond, KeepAliveIdle: 61 * time.Second, KeepAliveInterval: 1100 * time.Millisecond, KeepAliveProbes: 4}.Apply(int(fd)))
		c, err := net.Dial("tcp", l.Addr().String())
		must(t, err)
		defer c.Close()
		got := taken(t, int(fd))
		defer unix.Close(got)
		for option, want := range map[[2]int]int{
			{unix.IPPROTO_TCP, unix.TCP_NODELAY}: 1, {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}: 1500, {unix.SOL_SOCKET, unix.SO_KEEPALIVE}: 1,
			{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}: 61, {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}: 2, {unix.IPPROTO_TCP, unix.TCP_KEEPCNT}: 4,
		} {
			if v, err := nonblock.GetInt(got, option[0], option[1]); err != nil || v != want {
				t.Errorf("option %v is %d, want %d, %v", option, v, want, err)
			}
		}
	}))
	many, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
	must(t, err)
	defer unix.Close(many)
	must(t, relay.Socket{NoDelay: true, UserTimeout: time.Second, KeepAliveIdle: time.Minute}.Apply(many))
	if err := (relay.Socket{NoDelay: true}).Apply(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("no socket: %v", err)
	}
}
