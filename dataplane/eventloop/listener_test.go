package eventloop

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/nonblock"
)

// holder keeps every connection that it is given, until the loop closes it or the test lets it go.
type holder struct {
	t     testing.TB
	mu    sync.Mutex
	held  []*held
	panic bool
}

type held struct {
	Source
	l    *Loop
	from *Listener
	peer netip.AddrPort
}

func (h *held) Ready(e Events) {
	if h.Active() && e&(Closing|Ended) != 0 {
		h.l.Close(&h.Source)
		h.from.Done(h.l)
	}
}

func (k *holder) Accepted(l *Loop, from *Listener, fd int, peer netip.AddrPort) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.panic {
		k.panic = false
		panic("for the test")
	}
	h := &held{l: l, from: from, peer: peer}
	must(k.t, l.Add(&h.Source, fd, h, Readable))
	k.held = append(k.held, h)
}

func (k *holder) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.held)
}

// listen gives a listening socket to the group, and keeps it, as the process does that passed it on.
func listen(t testing.TB, g *Group, to Acceptor) (*Listener, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	raw, err := l.(*net.TCPListener).SyscallConn()
	must(t, err)
	var x *Listener
	must(t, raw.Control(func(fd uintptr) { x, err = g.Listen(int(fd), to) }))
	must(t, err)
	return x, l.Addr().String()
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 seconds: %s", what)
		}
	}
}

// never looks for a while: what must not happen would come at once.
func never(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for range 30 {
		time.Sleep(time.Millisecond)
		if happened() {
			t.Fatal(what)
		}
	}
}

// TestConnectionsSpread: whoever accepts, connections are spread over the loops; when they end, all counts are back.
func TestConnectionsSpread(t *testing.T) {
	g := group(t, Config{Loops: 4})
	k := &holder{t: t}
	x, addr := listen(t, g, k)
	var conns []net.Conn
	for range 200 {
		conns = append(conns, dial(t, addr))
	}
	eventually(t, "all are accepted", func() bool { return k.count() == 200 })
	for i, l := range g.Loops() {
		if n := l.Stats().Open; n < 40 || n > 60 {
			t.Errorf("loop %d has %d of 200", i, n)
		}
	}
	peers := map[string]bool{}
	for _, h := range k.held {
		peers[h.peer.String()] = true
	}
	for _, c := range conns {
		if at := c.LocalAddr().String(); !peers[at] {
			t.Errorf("nobody was told of %s", at)
		}
	}
	for _, c := range conns {
		c.Close()
	}
	eventually(t, "all have ended", func() bool { return x.Open() == 0 })
	for i, l := range g.Loops() {
		if n := l.Stats().Open; n != 0 {
			t.Errorf("loop %d has %d", i, n)
		}
	}
}

// TestOneConnectionWakesOneLoop: loops that sleep go on sleeping when another gets a connection.
func TestOneConnectionWakesOneLoop(t *testing.T) {
	g := group(t, Config{Loops: 4})
	k := &holder{t: t}
	x, addr := listen(t, g, k)
	turns := func() (n [4]uint64) {
		for i, l := range g.Loops() {
			n[i] = l.Stats().Turns
		}
		return n
	}
	for _, l := range g.Loops() {
		on(t, l, func() {})
	}
	before := turns()
	for i := range 10 {
		c := dial(t, addr)
		eventually(t, "it is accepted", func() bool { return k.count() == i+1 })
		c.Close()
		eventually(t, "it has ended", func() bool { return x.Open() == 0 })
	}
	awake := 0
	for i, n := range turns() {
		if n != before[i] {
			awake++
		}
	}
	if awake != 1 {
		t.Errorf("%d loops woke: %v, then %v", awake, before, turns())
	}
}

// TestListenerClose gives up the socket, which goes on living elsewhere, and takes nothing more from it.
func TestListenerClose(t *testing.T) {
	g := group(t, Config{Loops: 2})
	k := &holder{t: t}
	x, addr := listen(t, g, k)
	kept := dial(t, addr)
	eventually(t, "accepted", func() bool { return k.count() == 1 })
	x.Close()
	wait(t, x.Ended())
	stale := g.Loops()[0].Stats().Stale
	dial(t, addr) // the kernel's queue takes it for the other owner
	never(t, "it was accepted after Close", func() bool { return k.count() > 1 })
	if now := g.Loops()[0].Stats().Stale; now != stale {
		t.Errorf("the loop still hears of the socket: %d", now-stale)
	}
	x.Close()
	kept.Close()
	eventually(t, "the count goes on", func() bool { return x.Open() == 0 })
}

// TestOutOfDescriptors: accepting rests, says so once, does not spin, and goes on when there are some.
func TestOutOfDescriptors(t *testing.T) {
	var mu sync.Mutex
	var said []string
	log := funcr.New(func(_, args string) { mu.Lock(); defer mu.Unlock(); said = append(said, args) }, funcr.Options{})
	g := group(t, Config{Loops: 1, Log: log})
	k := &holder{t: t}
	_, addr := listen(t, g, k)
	to := netip.MustParseAddrPort(addr)
	client, err := nonblock.Stream(unix.AF_INET)
	must(t, err)
	defer unix.Close(client)
	var before unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	defer func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before)) }()
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(client), Max: before.Max}))
	if err := nonblock.Connect(client, to); err != nil && err != unix.EINPROGRESS {
		t.Fatal(err)
	}
	l := g.Loops()[0]
	turns := l.Stats().Turns
	time.Sleep(300 * time.Millisecond)
	if n := l.Stats().Turns - turns; n > 40 || k.count() > 0 {
		t.Errorf("%d turns while resting, %d accepted", n, k.count())
	}
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before))
	eventually(t, "it is accepted when there are descriptors", func() bool { return k.count() == 1 })
	mu.Lock()
	defer mu.Unlock()
	if len(said) != 1 {
		t.Errorf("said %d times: %q", len(said), said)
	}
}

// TestMistakeInAcceptor: the connection goes, the listener stays, and counts are right.
func TestMistakeInAcceptor(t *testing.T) {
	g := group(t, Config{Loops: 2})
	k := &holder{t: t, panic: true}
	x, addr := listen(t, g, k)
	c := dial(t, addr)
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Error(n)
	}
	dial(t, addr)
	eventually(t, "the next one is accepted", func() bool { return k.count() == 1 })
	if n := x.Open(); n != 1 {
		t.Errorf("%d are open", n)
	}
}

func TestListenRefuses(t *testing.T) {
	g := group(t, Config{Loops: 1})
	fd, err := nonblock.Stream(unix.AF_INET)
	must(t, err)
	defer unix.Close(fd)
	for _, bad := range []int{fd, -1} {
		if _, err := g.Listen(bad, &holder{t: t}); err == nil {
			t.Errorf("descriptor %d was taken", bad)
		} else {
			t.Log(err)
		}
	}
	must(t, unix.Listen(fd, 1))
	g.Close()
	if _, err := g.Listen(fd, &holder{t: t}); err == nil {
		t.Error("a closed group took a socket")
	}
}

// TestManyLoops: the largest group works, and one socket reaches all of it.
func TestManyLoops(t *testing.T) {
	g := group(t, Config{Loops: MaxLoops})
	k := &holder{t: t}
	_, addr := listen(t, g, k)
	for i := range 2 * MaxLoops {
		dial(t, addr)
		eventually(t, fmt.Sprint("connection ", i), func() bool { return k.count() == i+1 })
	}
	none := 0
	for _, l := range g.Loops() {
		if l.Stats().Open == 0 {
			none++
		}
	}
	if none > MaxLoops/10 {
		t.Errorf("%d loops have no connection", none)
	}
}

// TestPipesAndBlocks: what is given back is lent again, what holds bytes is not, and a refused pipe is not asked for again
// at once.
func TestPipesAndBlocks(t *testing.T) {
	l := group(t, Config{Loops: 1}).Loops()[0]
	mine, theirs := pair(t)
	_, err := unix.Write(theirs, []byte("held"))
	must(t, err)
	on(t, l, func() {
		defer nonblock.Close(mine)
		p := l.TakePipe()
		l.GivePipe(p)
		if again := l.TakePipe(); again != p {
			t.Error("the pipe was not kept")
		}
		if n, err := p.Fill(mine); n != 4 || err != nil || p.Held() != 4 {
			t.Error(n, err, p.Held())
		}
		l.GivePipe(p)
		if next := l.TakePipe(); next == p || next.Held() != 0 {
			t.Error("a pipe with bytes in it was lent")
		} else {
			l.GivePipe(next)
		}
		lent := make([]*Pipe, 2*sparePipes)
		for i := range lent {
			lent[i] = l.TakePipe()
		}
		for _, p := range lent {
			l.GivePipe(p)
		}
		if len(l.pipes.spare) != sparePipes || l.PipesLent() != 0 {
			t.Errorf("%d are kept, %d lent", len(l.pipes.spare), l.PipesLent())
		}
		b := l.TakeBlock()
		if l.BlocksLent() != 1 {
			t.Error(l.BlocksLent())
		}
		l.GiveBlock(b)
		if l.TakeBlock() != b {
			t.Error("the block was not kept")
		}
		l.GiveBlock(b)
	})
}
