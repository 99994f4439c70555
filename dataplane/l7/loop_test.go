package l7

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/model"
)

// bench is an engine whose insides a test can see, with a listener of HTTP and one of TCP.
type bench struct {
	t         *testing.T
	engine    *Engine
	http, tcp string
}

func newBench(t *testing.T, cfg Config, h http.HandlerFunc) *bench {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	b := &bench{t: t, engine: New(cfg)}
	t.Cleanup(b.engine.Close)
	sockets := map[string]net.Listener{}
	proxy := model.Proxy{Pools: []model.Pool{{Name: "p", Servers: []model.PoolServer{{Name: "s", Weight: 1, Address: netip.MustParseAddrPort(s.Listener.Addr().String())}}}}}
	for name, application := range map[string]model.Application{"http": model.HTTP, "tcp": model.TCPStream} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		sockets[name] = l
		proxy.Listeners = append(proxy.Listeners, model.Listener{
			Name: name, Address: l.Addr().(*net.TCPAddr).AddrPort(), Application: application, Pool: "p", Algorithm: model.L7RoundRobin,
		})
	}
	b.http, b.tcp = sockets["http"].Addr().String(), sockets["tcp"].Addr().String()
	if err := b.engine.Apply(proxy, sockets); err != nil {
		t.Fatal(err)
	}
	return b
}

// lent is how many blocks and pipes are out on all loops.
func (b *bench) lent() (blocks, pipes int) {
	for _, w := range b.engine.workers {
		done := make(chan struct{})
		w.loop.Do(func() {
			blocks += w.loop.BlocksLent()
			pipes += w.loop.PipesLent()
			close(done)
		})
		<-done
	}
	return blocks, pipes
}

func (b *bench) dial(addr string) net.Conn {
	b.t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

// ask makes a request on a connection and reads the answer's body.
func (b *bench) ask(c net.Conn, method, path, body string) string {
	b.t.Helper()
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	got, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(got)
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func echoed(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }

// Connections that are used and then idle hold neither block nor pipe nor request, nor a goroutine.
func TestIdleConnectionsHoldNothing(t *testing.T) {
	b := newBench(t, Config{Timeouts: Timeouts{ServerIdle: time.Hour}}, echoed)
	const count = 100
	big := strings.Repeat("x", 200_000)
	b.ask(b.dial(b.http), "POST", "/", "x")
	before := runtime.NumGoroutine()
	for i := range count {
		c := b.dial(b.http)
		b.ask(c, "POST", "/", "small")
		if i%10 == 0 {
			b.ask(c, "POST", "/", big)
		}
		b.ask(b.dial(b.tcp), "POST", "/", "small")
	}
	until(t, "nothing is lent", func() bool { blocks, pipes := b.lent(); return blocks == 0 && pipes == 0 })
	for _, w := range b.engine.workers {
		done := make(chan struct{})
		w.loop.Do(func() {
			defer close(done)
			for c := w.http; c != nil; c = c.next {
				if c.turn != nil {
					t.Error("an idle connection keeps the memory of its request")
				}
			}
		})
		<-done
	}
	// The servers of TCP connections are goroutines of net/http in this process: one, or two while it watches.
	if grown := runtime.NumGoroutine() - before; grown > 2*count+20 {
		t.Errorf("%d goroutines more for %d idle connections", grown, 2*count)
	}
}

// A client that reads nothing holds one block or one pipe, and then nothing more is read from the server.
func TestStalledReaderHoldsOneBuffer(t *testing.T) {
	for _, path := range []string{"/length", "/chunked"} {
		t.Run(path, func(t *testing.T) {
			const size = 64 << 20
			var given atomic.Int64
			seen := make(chan struct{}) // the client has the head, so it came alone
			goOn := sync.OnceFunc(func() { close(seen) })
			b := newBench(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/length" {
					w.Header().Set("Content-Length", fmt.Sprint(size))
				}
				w.(http.Flusher).Flush()
				<-seen
				for buf := make([]byte, 32<<10); given.Load() < size; given.Add(int64(len(buf))) {
					if _, err := w.Write(buf); err != nil {
						return
					}
				}
			})
			t.Cleanup(goOn)
			c := b.dial(b.http)
			fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			goOn()
			until(t, "the server is stopped, and one block or pipe is held", func() bool {
				before := given.Load()
				time.Sleep(100 * time.Millisecond) // on a busy machine the server may pause by itself: then nothing is held
				blocks, pipes := b.lent()
				if blocks+pipes > 1 {
					t.Fatalf("%d blocks and %d pipes are held, want 1 of them", blocks, pipes)
				}
				return before > 0 && given.Load() == before && blocks+pipes == 1
			})
			if given.Load() == size {
				t.Fatal("the server could give all of it")
			}
			if n, err := io.Copy(io.Discard, res.Body); n != size || err != nil {
				t.Errorf("%d bytes of %d, %v", n, size, err)
			}
			until(t, "nothing is lent", func() bool { blocks, pipes := b.lent(); return blocks == 0 && pipes == 0 })
		})
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// An idle pair has two descriptors in the proxy: the client's connection and the server's.
func TestIdlePairHasTwoDescriptors(t *testing.T) {
	for name, address := range map[string]func(*bench) string{"TCP": func(b *bench) string { return b.tcp }, "HTTP": func(b *bench) string { return b.http }} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			b := newBench(t, Config{}, func(_ http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/held" {
					<-release
				}
			})
			defer close(release)
			const count = 50
			b.ask(b.dial(address(b)), "GET", "/", "")
			until(t, "unused connections are gone", func() bool { return b.engine.Stats().Servers[0].Idle <= 1 })
			before := descriptors(t)
			for range count {
				fmt.Fprint(b.dial(address(b)), "GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
			}
			until(t, "all are under way", func() bool { return b.engine.Stats().Servers[0].Current >= count })
			until(t, "the servers have accepted", func() bool { return descriptors(t)-before >= 4*count-2 })
			// Two of the four are the test's own: client and server are in this process. HTTP used the unused one.
			if grown := descriptors(t) - before; grown > 4*count {
				t.Errorf("%d descriptors for %d pairs, want %d", grown, count, 4*count)
			}
		})
	}
}

// An engine that has served everything gives all descriptors back.
func TestEngineLeaksNoDescriptor(t *testing.T) {
	before := 0
	for round := range 4 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			b := newBench(t, Config{}, echoed)
			for range 20 {
				c := b.dial(b.http)
				b.ask(c, "POST", "/", strings.Repeat("x", 300_000))
				_ = c.(*net.TCPConn).SetLinger(0)
				c.Close()
				b.ask(b.dial(b.tcp), "POST", "/", strings.Repeat("x", 300_000))
			}
			fmt.Fprint(b.dial(b.http), "GET / HT")
		})
		if after := descriptors(t); round == 1 {
			before = after
		} else if round > 1 && after > before {
			t.Errorf("round %d leaves %d descriptors, the one before %d", round, after, before)
		}
	}
}

// Whatever way connections end, the loops hear of it, or they would be shared out wrongly.
func TestLoopsForgetEndedConnections(t *testing.T) {
	b := newBench(t, Config{}, echoed)
	for i := range 20 {
		for _, addr := range []string{b.http, b.tcp} {
			c := b.dial(addr)
			if i%2 == 0 {
				b.ask(c, "POST", "/", "x")
			}
			if i%3 == 0 {
				_ = c.(*net.TCPConn).SetLinger(0)
			}
			c.Close()
		}
	}
	until(t, "no loop counts a connection", func() bool {
		open := int64(0)
		for _, l := range b.engine.group.Loops() {
			open += l.Stats().Open
		}
		return open == 0 && b.engine.open.n.Load() == 0
	})
}

// A kept connection that its server closes leaves the pool at once, not when it is needed.
func TestClosedUnusedConnectionLeavesThePool(t *testing.T) {
	var conns chan net.Conn = make(chan net.Conn, 10)
	s := httptest.NewUnstartedServer(http.HandlerFunc(echoed))
	s.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateIdle {
			conns <- c
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	b := newBench(t, Config{Timeouts: Timeouts{ServerIdle: time.Hour}}, echoed)
	err := b.engine.Apply(model.Proxy{
		Pools:     []model.Pool{{Name: "p", Servers: []model.PoolServer{{Name: "s", Weight: 1, Address: netip.MustParseAddrPort(s.Listener.Addr().String())}}}},
		Listeners: []model.Listener{{Name: "http", Address: netip.MustParseAddrPort(b.http), Application: model.HTTP, Pool: "p", Algorithm: model.L7RoundRobin}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.ask(b.dial(b.http), "POST", "/", "x")
	until(t, "the connection is kept", func() bool { return b.engine.Stats().Servers[0].Idle == 1 })
	(<-conns).Close()
	until(t, "it has left the pool", func() bool { return b.engine.Stats().Servers[0].Idle == 0 })
}

// The unused connections to a server that is removed are closed at once, on every loop; those in use go on.
func TestUnusedConnectionsOfRemovedServersAreClosed(t *testing.T) {
	b := newBench(t, Config{Timeouts: Timeouts{ServerIdle: time.Hour}}, echoed)
	closed := make(chan struct{}, 100)
	s := httptest.NewUnstartedServer(http.HandlerFunc(echoed))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	proxy := model.Proxy{
		Pools:     []model.Pool{{Name: "p", Servers: []model.PoolServer{{Name: "other", Weight: 1, Address: netip.MustParseAddrPort(s.Listener.Addr().String())}}}},
		Listeners: []model.Listener{{Name: "http", Address: netip.MustParseAddrPort(b.http), Application: model.HTTP, Pool: "p", Algorithm: model.L7RoundRobin}},
	}
	if err := b.engine.Apply(proxy, nil); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 { // on all loops
		c := b.dial(b.http)
		all.Go(func() { b.ask(c, "POST", "/", "x") })
	}
	all.Wait()
	kept := 0
	until(t, "connections are kept", func() bool {
		kept = int(b.engine.Stats().Servers[0].Idle)
		return kept > 0 && b.engine.Stats().Servers[0].Current == 0
	})
	proxy.Pools[0].Servers = nil
	if err := b.engine.Apply(proxy, nil); err != nil {
		t.Fatal(err)
	}
	for i := range kept {
		select {
		case <-closed:
		case <-time.After(30 * time.Second):
			t.Fatalf("%d of %d unused connections were closed", i, kept)
		}
	}
}

// A server that closes together with its answer, without having said so, is not kept, whichever of the two is seen first.
func TestConnectionThatEndedIsNotKept(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1000))
			// Both leave in one segment: an end that comes later than the next request nobody can know of.
			raw, _ := c.(*net.TCPConn).SyscallConn()
			_ = raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK, 1) })
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			c.Close()
		}
	}()
	b := newBench(t, Config{Timeouts: Timeouts{ServerIdle: time.Hour}}, echoed)
	if err := b.engine.Apply(model.Proxy{
		Pools:     []model.Pool{{Name: "p", Servers: []model.PoolServer{{Name: "s", Weight: 1, Address: netip.MustParseAddrPort(l.Addr().String())}}}},
		Listeners: []model.Listener{{Name: "http", Address: netip.MustParseAddrPort(b.http), Application: model.HTTP, Pool: "p", Algorithm: model.L7RoundRobin}},
	}, nil); err != nil {
		t.Fatal(err)
	}
	c := b.dial(b.http)
	for range 100 {
		if body := b.ask(c, "POST", "/", "x"); body != "ok" {
			t.Fatalf("%q", body)
		}
	}
	until(t, "none is kept", func() bool { return b.engine.Stats().Servers[0].Idle == 0 })
}
