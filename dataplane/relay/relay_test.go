package relay_test

import (
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/relay"
)

func TestMain(m *testing.M) {
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close() // the Go runtime's own descriptors are there from now on, and counted before each test
	}
	goleak.VerifyTestMain(m)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// proxy is a relay on all loops, with a listener of its own.
type proxy struct {
	t        testing.TB
	group    *eventloop.Group
	relays   []*relay.Relay
	listener *eventloop.Listener
	settings relay.Settings
	targets  []relay.Target
	preface  atomic.Pointer[func(*relay.Pair) []byte] // nil: none
	addr     string
	ends     chan relay.End
}

// Accepted joins each client to the first target.
func (p *proxy) Accepted(l *eventloop.Loop, from *eventloop.Listener, fd int, _ netip.AddrPort) {
	p.relays[l.Index()].Join(fd, p.targets[0], &p.settings, &one{proxy: p, loop: l, from: from})
}

// one is the owner of one pair; it tries the targets in order.
type one struct {
	proxy *proxy
	loop  *eventloop.Loop
	from  *eventloop.Listener
	tried int
}

func (o *one) Unreachable(*relay.Pair, error) (relay.Target, bool) {
	o.tried++
	if o.tried == len(o.proxy.targets) {
		return relay.Target{}, false
	}
	return o.proxy.targets[o.tried], true
}

func (o *one) Preface(p *relay.Pair) []byte {
	say := o.proxy.preface.Load()
	if say == nil {
		return nil
	}
	return (*say)(p)
}

func (o *one) Reached(*relay.Pair) {}

func (o *one) Ended(_ *relay.Pair, end relay.End) {
	o.from.Done(o.loop)
	select {
	case o.proxy.ends <- end:
	default:
	}
}

func defaults() relay.Settings {
	both := relay.Socket{NoDelay: true, UserTimeout: time.Minute, KeepAliveIdle: time.Minute, KeepAliveInterval: 10 * time.Second, KeepAliveProbes: 3}
	return relay.Settings{Connect: 10 * time.Second, ClientIdle: time.Minute, ServerIdle: time.Minute, Client: both, Server: both}
}

func start(t testing.TB, s relay.Settings, servers ...string) *proxy {
	t.Helper()
	return startOn(t, eventloop.Config{Loops: 2}, s, to(servers)...)
}

func to(servers []string) (all []relay.Target) {
	for _, server := range servers {
		all = append(all, relay.Target{Server: netip.MustParseAddrPort(server)})
	}
	return all
}

func startOn(t testing.TB, c eventloop.Config, s relay.Settings, targets ...relay.Target) *proxy {
	t.Helper()
	p := &proxy{t: t, settings: s, targets: targets, ends: make(chan relay.End, 10000)}
	before := openFiles(t)
	var err error
	p.group, err = eventloop.New(c)
	must(t, err)
	for _, l := range p.group.Loops() {
		p.relays = append(p.relays, relay.New(l))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close() // the group has its own by then
	p.addr = listener.Addr().String()
	raw, err := listener.(*net.TCPListener).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { p.listener, err = p.group.Listen(int(fd), p) }))
	must(t, err)
	t.Cleanup(func() {
		p.group.Close()
		for _, r := range p.relays {
			if n := r.Totals().Open; n != 0 {
				t.Errorf("%d pairs are open after Close", n)
			}
		}
		p.gone(before)
	})
	return p
}

// gone waits until no more sockets of the loops are open than before; those of the test may linger a moment.
func (p *proxy) gone(before int) {
	for end := time.Now().Add(20 * time.Second); openFiles(p.t) > before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Errorf("%d descriptors, before there were %d", openFiles(p.t), before)
			return
		}
	}
}

func openFiles(t testing.TB) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(d)
}

// on runs f on a loop and waits.
func (p *proxy) on(i int, f func(*relay.Relay)) {
	p.t.Helper()
	done := make(chan struct{})
	p.group.Loops()[i].Do(func() { defer close(done); f(p.relays[i]) })
	wait(p.t, done)
}

func wait[T any](t testing.TB, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(60 * time.Second):
		t.Fatal("nothing happened for a minute")
	}
	return v
}

// end expects how the next pair ends.
func (p *proxy) end(want relay.Reason) relay.End {
	p.t.Helper()
	got := wait(p.t, p.ends)
	if got.Reason != want {
		p.t.Errorf("ended %s (%v), want %s", got.Reason, got.Cause, want)
	}
	return got
}

// serve runs a server and returns its address.
func serve(t testing.TB, f func(*net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				f(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return l.Addr().String()
}

// echo sends back what comes, without the pipes that package net would keep.
func echo(c *net.TCPConn) { _, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) }

// given returns a server that hands out its connections; the test closes them.
func given(t testing.TB) (string, <-chan *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	conns := make(chan *net.TCPConn, 5000)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			conns <- c.(*net.TCPConn)
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return l.Addr().String(), conns
}

func (p *proxy) dial() *net.TCPConn {
	p.t.Helper()
	c, err := net.Dial("tcp", p.addr)
	must(p.t, err)
	p.t.Cleanup(func() { c.Close() })
	must(p.t, c.SetDeadline(time.Now().Add(time.Minute)))
	return c.(*net.TCPConn)
}

// converse sends size random bytes in random pieces with pauses, ends its direction, and returns the hash of
// what it sent and of what it got.
func converse(t testing.TB, c *net.TCPConn, seed uint64, size int) (sent, got [32]byte) {
	var all sync.WaitGroup
	all.Go(func() {
		random := rand.New(rand.NewPCG(seed, 1))
		h, buffer := sha256.New(), make([]byte, 300000)
		for left := size; left > 0; {
			piece := buffer[:min(left, 1+random.IntN(1<<random.IntN(18)))]
			for i := range piece {
				piece[i] = byte(random.Uint32())
			}
			if _, err := c.Write(piece); err != nil {
				t.Error(err)
				return
			}
			h.Write(piece)
			left -= len(piece)
			if random.IntN(20) == 0 {
				time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond)
			}
		}
		sent = [32]byte(h.Sum(nil))
		if err := c.CloseWrite(); err != nil {
			t.Error(err)
		}
	})
	random := rand.New(rand.NewPCG(seed, 2))
	h, buffer := sha256.New(), make([]byte, 300000)
	for {
		n, err := c.Read(buffer[:1+random.IntN(len(buffer))])
		h.Write(buffer[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Error(err)
			break
		}
		if random.IntN(20) == 0 {
			time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond)
		}
	}
	all.Wait()
	return sent, [32]byte(h.Sum(nil))
}

// TestBytesArrive sends random bytes both ways at once, in random pieces and with pauses; with turns as they are,
// and with turns of one read, after which each connection has to be remembered.
func TestBytesArrive(t *testing.T) {
	for name, turn := range map[string]int{"long turns": 0, "short turns": 1} {
		t.Run(name, func(t *testing.T) {
			server, conns := given(t)
			p := startOn(t, eventloop.Config{Loops: 2, TurnBytes: turn}, defaults(), to([]string{server})...)
			random := rand.New(rand.NewPCG(4, 4))
			for round := range 12 {
				exchange(t, p, conns, uint64(round), random.IntN(1<<random.IntN(24)), random.IntN(1<<random.IntN(24)))
			}
		})
	}
}

// exchange has one connection carry up and down so many bytes.
func exchange(t *testing.T, p *proxy, conns <-chan *net.TCPConn, seed uint64, up, down int) {
	c := p.dial()
	defer c.Close()
	s := wait(t, conns)
	defer s.Close()
	var sentUp, gotUp, sentDown, gotDown [32]byte
	var both sync.WaitGroup
	both.Go(func() { sentUp, gotDown = converse(t, c, seed, up) })
	both.Go(func() { sentDown, gotUp = converse(t, s, seed+1000, down) })
	both.Wait()
	if sentUp != gotUp || sentDown != gotDown {
		t.Errorf("seed %d (%d up, %d down): what arrived is not what was sent", seed, up, down)
	}
	end := p.end(relay.Normal)
	if end.ToServer != int64(up) || end.ToClient != int64(down) || end.Connect < 0 || end.Total < end.Connect {
		t.Errorf("%d up, %d down: %+v", up, down, end)
	}
}

// TestHalfClose: either side may end first; the other direction goes on, in order, and ends by itself.
func TestHalfClose(t *testing.T) {
	server, conns := given(t)
	p := start(t, defaults(), server)
	for name, turned := range map[string]bool{"the client ends first": false, "the server ends first": true} {
		t.Run(name, func(t *testing.T) {
			first, second := p.dial(), wait(t, conns)
			if turned {
				first, second = second, first
			}
			_, err := first.Write([]byte("last words"))
			must(t, err)
			must(t, first.CloseWrite())
			if b, err := io.ReadAll(second); err != nil || string(b) != "last words" {
				t.Fatalf("%q, %v", b, err)
			}
			_, err = second.Write([]byte("an answer after the end"))
			must(t, err)
			must(t, second.CloseWrite())
			if b, err := io.ReadAll(first); err != nil || string(b) != "an answer after the end" {
				t.Fatalf("%q, %v", b, err)
			}
			p.end(relay.Normal)
		})
	}
}

// TestResets: a reset is passed on as one, after what came before it.
func TestResets(t *testing.T) {
	server, conns := given(t)
	p := start(t, defaults(), server)
	for name, tc := range map[string]struct {
		server bool
		want   relay.Reason
	}{
		"client": {want: relay.ClientData},
		"server": {server: true, want: relay.ServerData},
	} {
		t.Run(name, func(t *testing.T) {
			one, other := p.dial(), wait(t, conns)
			if tc.server {
				one, other = other, one
			}
			_, err := one.Write([]byte("x"))
			must(t, err)
			_, err = io.ReadFull(other, make([]byte, 1))
			must(t, err)
			must(t, one.SetLinger(0))
			must(t, one.Close())
			if _, err := other.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
				t.Errorf("the other saw %v, want a reset", err)
			}
			if end := p.end(tc.want); !errors.Is(end.Cause, unix.ECONNRESET) {
				t.Errorf("cause %v", end.Cause)
			}
		})
	}
}

// TestResetAfterHalfClose: who has ended its direction may still break off.
func TestResetAfterHalfClose(t *testing.T) {
	server, conns := given(t)
	p := start(t, defaults(), server)
	c, s := p.dial(), wait(t, conns)
	must(t, c.CloseWrite())
	_, err := io.ReadAll(s)
	must(t, err)
	must(t, c.SetLinger(0))
	must(t, c.Close())
	p.end(relay.ClientData)
}

// TestRefusalOfAnUploadArrives: a server answers, and closes while the client is still sending.
func TestRefusalOfAnUploadArrives(t *testing.T) {
	p := start(t, defaults(), serve(t, func(c *net.TCPConn) {
		_, _ = io.ReadFull(c, make([]byte, 1000))
		_, _ = c.Write([]byte("too large"))
	}))
	for range 20 {
		c := p.dial()
		go func() { _, _ = io.Copy(c, io.LimitReader(zeros{}, 64<<20)) }()
		b := make([]byte, 9)
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "too large" {
			t.Errorf("%q, %v", b, err)
		}
		p.end(relay.ServerData)
		c.Close()
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
