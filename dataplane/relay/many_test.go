package relay_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/nonblock"
	"github.com/truepacs/balancer/dataplane/relay"
)

// TestShortConnections makes thousands of them, from several clients at once.
func TestShortConnections(t *testing.T) {
	p := start(t, defaults(), serve(t, echo))
	const each = 500
	var all sync.WaitGroup
	for client := range 8 {
		all.Go(func() {
			want := bytes.Repeat([]byte{byte(client)}, 100)
			for range each {
				c, err := net.Dial("tcp", p.addr)
				if err != nil {
					t.Error(err)
					return
				}
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				_, _ = c.Write(want)
				_ = c.(*net.TCPConn).CloseWrite()
				if b, err := io.ReadAll(c); err != nil || !bytes.Equal(b, want) {
					t.Errorf("%d bytes, %v", len(b), err)
				}
				c.Close()
			}
		})
	}
	all.Wait()
	for range 8 * each {
		p.end(relay.Normal)
	}
	var sum relay.Totals
	for i, r := range p.relays {
		if n := r.Totals(); n.Joined == 0 {
			t.Errorf("loop %d had none", i)
		} else {
			sum.Joined, sum.Open, sum.ToServer, sum.ToClient = sum.Joined+n.Joined, sum.Open+n.Open, sum.ToServer+n.ToServer, sum.ToClient+n.ToClient
		}
	}
	if want := (relay.Totals{Joined: 8 * each, ToServer: 800 * each, ToClient: 800 * each}); sum != want {
		t.Errorf("%+v, want %+v", sum, want)
	}
}

// TestCloseDuringEverything closes the group while clients connect, send, stall, end and reset.
func TestCloseDuringEverything(t *testing.T) {
	for round := range 10 {
		p := start(t, defaults(), serve(t, echo), refusing(t))
		stop := make(chan struct{})
		var all sync.WaitGroup
		for client := range 6 {
			all.Go(func() {
				random := rand.New(rand.NewPCG(uint64(round), uint64(client)))
				for {
					select {
					case <-stop:
						return
					default:
						disturb(p.addr, random)
					}
				}
			})
		}
		time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
		p.group.Close()
		close(stop)
		all.Wait()
	}
}

func disturb(addr string, random *rand.Rand) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Millisecond))
	_, _ = c.Write(make([]byte, random.IntN(300000)))
	switch random.IntN(3) {
	case 0:
		_ = c.(*net.TCPConn).SetLinger(0)
	case 1:
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
	}
}

// ends are raw, blocking sockets of a client and a server, so that what the test itself needs does not count.
type ends struct {
	t        testing.TB
	p        *proxy
	listener int
	at       netip.AddrPort
	proxy    netip.AddrPort
}

func rawEnds(t testing.TB) *ends {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	must(t, nonblock.Bind(fd, netip.MustParseAddrPort("127.0.0.1:0")))
	must(t, unix.Listen(fd, 1000))
	at, err := nonblock.Local(fd)
	must(t, err)
	p := start(t, defaults(), at.String())
	return &ends{t: t, p: p, listener: fd, at: at, proxy: netip.MustParseAddrPort(p.addr)}
}

// pair connects a client and takes its connection at the server.
func (e *ends) pair() (client, server int) {
	client, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(e.t, err)
	must(e.t, nonblock.Connect(client, e.proxy))
	fd, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(e.listener), 0, 0, unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		e.t.Fatal(errno)
	}
	return client, int(fd)
}

func pass(t testing.TB, from, to int, b []byte) {
	if _, err := unix.Write(from, b); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(b); {
		m, err := unix.Read(to, b[n:])
		if err != nil || m == 0 {
			t.Fatal(m, err)
		}
		n += m
	}
}

// TestIdlePair: one that was used and idles has 2 descriptors and well under 1 KB of memory.
func TestIdlePair(t *testing.T) {
	e := rawEnds(t)
	const first, more = 300, 4000
	fds := make([]int, 0, 2*(first+more))
	open := func(n int) (heap uint64, files int) {
		for range n {
			c, s := e.pair()
			pass(t, c, s, []byte("there"))
			pass(t, s, c, []byte("back"))
			fds = append(fds, c, s)
		}
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse, openFiles(t)
	}
	heap, files := open(first)
	heapAfter, filesAfter := open(more)
	memory, descriptors := (int64(heapAfter)-int64(heap))/more, filesAfter-files-2*more
	t.Logf("an idle pair: %d bytes, %d descriptors for %d pairs", memory, descriptors, more)
	if memory > 900 || descriptors > 2*more {
		t.Error("too much")
	}
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
	for range first + more {
		p := wait(t, e.p.ends)
		if p.ToServer != 5 || p.ToClient != 4 {
			t.Fatalf("%+v", p)
		}
	}
}

// TestRelayedBytesAllocateNothing, small ones and bulk, and a connection next to nothing.
func TestRelayedBytesAllocateNothing(t *testing.T) {
	e := rawEnds(t)
	c, s := e.pair()
	small, bulk := make([]byte, 100), make([]byte, 256<<10)
	if got := testing.AllocsPerRun(500, func() { pass(t, c, s, small); pass(t, s, c, small) }); got != 0 {
		t.Errorf("100 bytes each way: %v allocations", got)
	}
	if got := testing.AllocsPerRun(200, func() { pass(t, c, s, bulk); pass(t, s, c, bulk) }); got != 0 {
		t.Errorf("256 KiB each way: %v allocations", got)
	}
	_, _ = unix.Close(c), unix.Close(s)
	wait(t, e.p.ends)
	got := testing.AllocsPerRun(500, func() {
		c, s := e.pair()
		pass(t, c, s, small)
		_, _ = unix.Close(c), unix.Close(s)
		<-e.p.ends
	})
	t.Logf("a connection: %v allocations, one of which is the test's owner", got)
	if got > 2 {
		t.Errorf("a connection: %v allocations", got)
	}
}

const exhausted = "RELAY_TEST_WITHOUT_PIPES"

// TestWithoutPipes runs TestBytesArrive in a process of a user whose quota of pipes is used up: it must copy.
func TestWithoutPipes(t *testing.T) {
	if os.Getenv(exhausted) != "" {
		useUpPipes(t)
		t.Run("bytes", TestBytesArrive)
		return
	}
	child := exec.Command("/proc/self/exe", "-test.run", "^TestWithoutPipes$", "-test.v", "-test.timeout", "100s")
	child.Env = append(os.Environ(), exhausted+"=1")
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 64321, Gid: 64321}}
	out, err := child.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("PASS: TestWithoutPipes/bytes")) || !bytes.Contains(out, []byte("no pipe is to be had")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func useUpPipes(t *testing.T) {
	for {
		r, w, held, err := nonblock.Pipe2(1 << 20)
		if errors.Is(err, unix.EMFILE) {
			t.Fatal("descriptors ran out before pipes")
		}
		must(t, err)
		t.Cleanup(func() { _, _ = unix.Close(r), unix.Close(w) })
		if held < 64<<10 {
			break
		}
	}
	g, err := eventloop.New(eventloop.Config{Loops: 1})
	must(t, err)
	defer g.Close()
	done := make(chan bool)
	l := g.Loops()[0]
	l.Do(func() { done <- l.TakePipe() == nil })
	if !<-done {
		t.Fatal("there is still a pipe")
	}
	t.Log("no pipe is to be had")
}

// TestBulkStarvesNobody: beside connections that send as fast as they can, another on the same loop has its answers.
func TestBulkStarvesNobody(t *testing.T) {
	server := serve(t, func(c *net.TCPConn) {
		kind := make([]byte, 1)
		if _, err := io.ReadFull(c, kind); err == nil && kind[0] == 'e' {
			echo(c)
			return
		}
		_, _ = io.Copy(io.Discard, c)
	})
	p := startOn(t, eventloop.Config{Loops: 1}, defaults(), to([]string{server})...)
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 2 {
		c := p.dial()
		all.Go(func() {
			for buffer := make([]byte, 1<<20); ; {
				select {
				case <-stop:
					c.Close()
					return
				default:
					if _, err := c.Write(buffer); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	c := p.dial()
	_, err := c.Write([]byte("e"))
	must(t, err)
	before := p.relays[0].Totals().ToServer
	for range 200 {
		_, err := c.Write([]byte("ping"))
		must(t, err)
		_, err = io.ReadFull(c, make([]byte, 4))
		must(t, err)
	}
	if moved := p.relays[0].Totals().ToServer - before; moved < 1<<20 {
		t.Errorf("only %d bytes moved meanwhile: nothing was tested", moved)
	}
	close(stop)
	all.Wait()
}
