package eventloop

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/nonblock"
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

// group starts one and checks that it leaves no descriptor.
func group(t testing.TB, c Config) *Group {
	t.Helper()
	before := descriptors(t)
	g, err := New(c)
	must(t, err)
	t.Cleanup(func() {
		g.Close()
		if after := descriptors(t); len(after) > len(before) {
			t.Errorf("descriptors before: %v\nafter: %v", before, after)
		}
	})
	return g
}

func descriptors(t testing.TB) (all []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, e := range entries {
		if at, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil { // else it was that of ReadDir
			all = append(all, e.Name()+" "+at)
		}
	}
	return all
}

// on runs f on a loop and waits for it.
func on(t testing.TB, l *Loop, f func()) {
	t.Helper()
	done := make(chan struct{})
	if !l.Do(func() { defer close(done); f() }) {
		t.Fatal("the loop has ended")
	}
	wait(t, done)
}

func wait[T any](t testing.TB, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing happened for 30 seconds")
	}
	return v
}

// pair is a socket pair: one end for a loop, the other, blocking, for the test.
func pair(t testing.TB) (mine, theirs int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, unix.SetNonblock(fds[0], true))
	t.Cleanup(func() { _ = unix.Close(fds[1]) })
	must(t, unix.SetsockoptTimeval(fds[1], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 30}))
	return fds[0], fds[1]
}

// read waits for bytes; signals of the Go runtime do not count.
func read(fd int, b []byte) (n int, err error) {
	for {
		if n, err = unix.Read(fd, b); err != unix.EINTR {
			return n, err
		}
	}
}

// handler is a Source with a function.
type handler struct {
	Source
	l     *Loop
	ready func(Events)
}

func (h *handler) Ready(e Events) { h.ready(e) }

// echo sends back what comes.
func echo(t testing.TB, l *Loop, fd int) *handler {
	h := &handler{l: l}
	buffer := make([]byte, 64)
	h.ready = func(e Events) {
		if e&Closing != 0 {
			l.Close(&h.Source)
			return
		}
		for {
			n, err := nonblock.Read(h.FD(), buffer)
			if err != nil || n == 0 {
				return
			}
			_, _ = nonblock.Write(h.FD(), buffer[:n])
		}
	}
	on(t, l, func() { must(t, l.Add(&h.Source, fd, h, Readable)) })
	return h
}

// TestNoEventIsLost hits the moments around parking: answers come after delays as long as the loop takes to fall asleep.
func TestNoEventIsLost(t *testing.T) {
	g := group(t, Config{Loops: 2})
	l := g.Loops()[0]
	mine, theirs := pair(t)
	echo(t, l, mine)
	b := make([]byte, 1)
	for i := range 20000 {
		_, err := unix.Write(theirs, b)
		must(t, err)
		if n, err := read(theirs, b); n != 1 || err != nil {
			t.Fatalf("round %d: %d, %v", i, n, err)
		}
		for range rand.IntN(3000) {
			_ = i
		}
		if i%20 == 0 { // beyond a nap, so that the loop parks
			time.Sleep(time.Duration(rand.IntN(400)) * time.Microsecond)
		}
	}
	if s := l.Stats(); s.Parks < 100 {
		t.Errorf("the loop parked only %d times: nothing was tested", s.Parks)
	}
}

// TestNoTaskIsLost does the same with tasks.
func TestNoTaskIsLost(t *testing.T) {
	l := group(t, Config{Loops: 1}).Loops()[0]
	done := make(chan int, 1)
	for i := range 20000 {
		l.Do(func() { done <- i })
		if got := wait(t, done); got != i {
			t.Fatalf("got %d, want %d", got, i)
		}
		for range rand.IntN(3000) {
			_ = i
		}
		if i%20 == 0 { // beyond a nap, so that the loop parks
			time.Sleep(time.Duration(rand.IntN(400)) * time.Microsecond)
		}
	}
	if s := l.Stats(); s.Parks < 100 {
		t.Errorf("the loop parked only %d times: nothing was tested", s.Parks)
	}
}

// TestBusyLoopWakesNobody: a loop that always has an event is not a reason for the runtime's poller to wake. Witnesses
// are a second observer of the gate, which the kernel tells what it tells the runtime, and how often the process's
// other threads went to sleep.
func TestBusyLoopWakesNobody(t *testing.T) {
	l := group(t, Config{Loops: 1}).Loops()[0]
	const events = 100000
	mine, theirs := pair(t)
	h := &handler{l: l}
	b, left, done := make([]byte, 1), events, make(chan int)
	var sleptBefore map[string]int
	probe, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	must(t, err)
	defer unix.Close(probe)
	must(t, nonblock.Add(probe, l.gate.outer, unix.EPOLLIN|edge, 0))
	told, news := 0, make([]unix.EpollEvent, 1)
	h.ready = func(e Events) {
		if e&Closing != 0 {
			l.Close(&h.Source)
			return
		}
		if left == events {
			sleptBefore = slept(t)
		}
		if n, _ := nonblock.Read(h.FD(), b); n == 0 {
			return
		}
		if left--; left == 0 {
			after, sum, most := slept(t), 0, 0
			for thread, n := range after {
				sum += n - sleptBefore[thread]
				most = max(most, n-sleptBefore[thread])
			}
			done <- sum
			return
		}
		_, _ = unix.Write(theirs, b) // the next event, which the loop has not taken yet
		n, _ := nonblock.Events(probe, news)
		told += n
	}
	on(t, l, func() { must(t, l.Add(&h.Source, mine, h, Readable)) })
	_, err = unix.Write(theirs, b)
	must(t, err)
	sum := wait(t, done)
	parks := int(l.Stats().Parks)
	t.Logf("%d events, the poller was told %d times, other threads slept %d times, the loop parked %d times", events, told, sum, parks)
	if told > parks || sum > events/10 || parks > 10 {
		t.Error("something wakes the poller while the loop is busy")
	}
}

// slept is how often each thread has gone to sleep.
func slept(t testing.TB) map[string]int {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	must(t, err)
	count := map[string]int{}
	for _, thread := range threads {
		status, err := os.ReadFile("/proc/self/task/" + thread.Name() + "/status")
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(status), "\nvoluntary_ctxt_switches:")
		n := 0
		_, _ = fmt.Sscan(rest, &n)
		count[thread.Name()] = n
	}
	return count
}

func TestTimers(t *testing.T) {
	l := group(t, Config{Loops: 1}).Loops()[0]
	fired := make(chan time.Duration, 10)
	var timers [3]Timer
	began := time.Now()
	on(t, l, func() {
		for i, d := range []time.Duration{60 * time.Millisecond, 20 * time.Millisecond, time.Hour} {
			timers[i].To = expirer(func() { fired <- d })
			l.SetTimer(&timers[i], d)
		}
	})
	first, second := wait(t, fired), wait(t, fired)
	if took := time.Since(began); first != 20*time.Millisecond || second != 60*time.Millisecond || took < second {
		t.Errorf("fired: %v, %v; took %v", first, second, took)
	}
	on(t, l, func() { l.SetTimer(&timers[2], 0) }) // from an hour to now, while the loop would sleep for an hour
	if last := wait(t, fired); last != time.Hour {
		t.Error(last)
	}
}

type expirer func()

func (f expirer) Expired(*Timer) { f() }

// TestStaleEvents closes, inside one batch of events, a source whose event comes later in it, and puts another on the same
// descriptor: the news of the old one must not reach the new one.
func TestStaleEvents(t *testing.T) {
	l := group(t, Config{Loops: 1}).Loops()[0]
	first, firstPeer := pair(t)
	second, secondPeer := pair(t)
	third, thirdPeer := pair(t)
	var a, b, c handler
	var wrong atomic.Int32
	c.ready = func(e Events) {
		if e&Closing == 0 {
			wrong.Add(1)
		}
	}
	replace := func(other *handler) func(Events) {
		return func(e Events) {
			if e&Closing != 0 {
				return
			}
			fd := other.FD()
			l.Close(&other.Source)
			must(t, unix.Dup3(third, fd, unix.O_CLOEXEC))
			must(t, l.Add(&c.Source, fd, &c, 0))
			a.ready, b.ready = func(Events) {}, func(Events) {}
		}
	}
	a.ready, b.ready = replace(&b), replace(&a)
	on(t, l, func() {
		must(t, l.Add(&a.Source, first, &a, Readable))
		must(t, l.Add(&b.Source, second, &b, Readable))
		for _, fd := range []int{firstPeer, secondPeer} { // both in the next batch
			_, err := unix.Write(fd, []byte("x"))
			must(t, err)
		}
	})
	for l.Stats().Stale == 0 {
		on(t, l, func() {})
	}
	if n := wrong.Load(); n != 0 {
		t.Errorf("%d events of a closed descriptor reached its successor", n)
	}
	_ = thirdPeer
	on(t, l, func() { _ = unix.Close(third) })
}

// TestAgain: who asks for another turn gets it after the others, once; closing in between withdraws it, also
// when another source has the place.
func TestAgain(t *testing.T) {
	l := group(t, Config{Loops: 1}).Loops()[0]
	var order []string
	h := map[string]*handler{}
	for _, name := range []string{"a", "b", "c", "d"} {
		fd, _ := pair(t)
		one := &handler{l: l}
		one.ready = func(e Events) {
			if e == Again {
				order = append(order, name)
				if len(order) < 8 {
					l.Again(&one.Source)
				}
			}
		}
		h[name] = one
		on(t, l, func() { must(t, l.Add(&one.Source, fd, one, Readable)) })
	}
	on(t, l, func() {
		for _, name := range []string{"a", "b", "b", "c", "d"} {
			l.Again(&h[name].Source)
		}
		l.Close(&h["c"].Source)
		fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC) // has its place in the table
		must(t, err)
		gone := &handler{}
		gone.ready = func(e Events) {
			if e == Again {
				order = append(order, "the successor of c")
			}
		}
		must(t, l.Add(&gone.Source, fd, gone, Readable))
	})
	for len := 0; len < 10; {
		on(t, l, func() {
			len = 0
			for range order {
				len++
			}
		})
	}
	on(t, l, func() {
		if got := strings.Join(order, ""); got != "abdabdabdabd"[:len(order)] {
			t.Errorf("order %v", order)
		}
	})
}

// TestAgainDoesNotStarve: one that always wants another turn does not keep events from others.
func TestAgainDoesNotStarve(t *testing.T) {
	l := group(t, Config{Loops: 1}).Loops()[0]
	fd, _ := pair(t)
	greedy := &handler{l: l}
	greedy.ready = func(Events) { l.Again(&greedy.Source) }
	mine, theirs := pair(t)
	echo(t, l, mine)
	on(t, l, func() { must(t, l.Add(&greedy.Source, fd, greedy, 0)); l.Again(&greedy.Source) })
	b := []byte("x")
	for range 100 {
		_, err := unix.Write(theirs, b)
		must(t, err)
		if n, err := read(theirs, b); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
}

// TestMistakeCutsOneConnection: a panic in a handler closes its source; others, timers and tasks go on.
func TestMistakeCutsOneConnection(t *testing.T) {
	l := group(t, Config{Loops: 1}).Loops()[0]
	bad, badPeer := pair(t)
	good, goodPeer := pair(t)
	echo(t, l, good)
	h := &handler{l: l}
	h.ready = func(Events) { panic("for the test") }
	on(t, l, func() { must(t, l.Add(&h.Source, bad, h, Readable)) })
	_, err := unix.Write(badPeer, []byte("x"))
	must(t, err)
	b := make([]byte, 1)
	if n, err := read(badPeer, b); n > 0 || err == unix.EAGAIN {
		t.Errorf("the broken connection is still there: %d, %v", n, err)
	}
	l.Do(func() { panic("in a task") })
	_, err = unix.Write(goodPeer, b)
	must(t, err)
	if n, err := read(goodPeer, b); n != 1 || err != nil {
		t.Errorf("the other connection: %d, %v", n, err)
	}
}

func TestCloseTellsEveryone(t *testing.T) {
	g := group(t, Config{Loops: 3})
	var told atomic.Int32
	for _, l := range g.Loops() {
		for range 5 {
			fd, _ := pair(t)
			h := &handler{l: l}
			h.ready = func(e Events) {
				if e&Closing != 0 {
					told.Add(1) // and leaves the descriptor to the loop
				}
			}
			on(t, l, func() { must(t, l.Add(&h.Source, fd, h, Readable)) })
		}
	}
	g.Close()
	if told.Load() != 15 {
		t.Errorf("%d of 15 were told", told.Load())
	}
	if g.Loops()[0].Do(func() { t.Error("ran") }) {
		t.Error("a task was taken by a loop that has ended")
	}
}

func TestNothingAllocates(t *testing.T) {
	l := group(t, Config{Loops: 1}).Loops()[0]
	mine, theirs := pair(t)
	echo(t, l, mine)
	b, done := make([]byte, 1), make(chan struct{}, 1)
	note := func() { done <- struct{}{} }
	var timer Timer
	timer.To = expirer(func() {})
	set := func() {
		l.SetTimer(&timer, time.Millisecond)
		l.GiveBlock(l.TakeBlock())
		l.GivePipe(l.TakePipe())
		note()
	}
	got := testing.AllocsPerRun(500, func() {
		_, _ = unix.Write(theirs, b)
		_, _ = read(theirs, b)
		l.Do(set)
		<-done
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func TestConfigRefused(t *testing.T) {
	for _, n := range []int{-1, MaxLoops + 1} {
		if _, err := New(Config{Loops: n}); err == nil {
			t.Errorf("%d loops were taken", n)
		}
	}
}
