package tlssession_test

import (
	"bytes"
	"crypto/tls"
	"runtime"
	"testing"

	"github.com/truepacs/balancer/dataplane/tlssession"
)

// coroutines counts those that wait; goroutines of earlier tests may still be ending.
func coroutines() int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return bytes.Count(stacks, []byte(" [coroutine"))
}

// recycler lends like a real loop does: buffers are used again.
type recycler struct{ free [][]byte }

func (r *recycler) Borrow(n int) []byte {
	for i := len(r.free) - 1; i >= 0; i-- {
		if b := r.free[i]; cap(b) >= n {
			r.free = append(r.free[:i], r.free[i+1:]...)
			return b[:0]
		}
	}
	return make([]byte, 0, max(n, 64<<10))
}

func (r *recycler) Return(b []byte) { r.free = append(r.free, b) }

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

type noWake struct{}

func (noWake) Wake() {}

// TestIdleSessionsAreSmall measures the heap that 2,000 established sessions hold, each having
// served a request and an answer of 1,000 bytes, and a second time of 16 KiB.
func TestIdleSessionsAreSmall(t *testing.T) {
	for name, tc := range map[string]struct{ size, limit int }{
		"small": {1000, 9 << 10},
		// crypto/tls keeps rawInput at the size of the largest record.
		"large": {16 << 10, 30 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			const count = 2000
			l := tlssession.NewLoop(&recycler{})
			defer l.Close()
			server := tlssession.Prepare(&tls.Config{Certificates: []tls.Certificate{pki().issue(t, "ecdsa", nil)}})
			client := tlssession.Prepare(&tls.Config{RootCAs: pki().roots, ServerName: "localhost"})
			idle := make([]*tlssession.Session, 0, count)
			before, message := 0, data(tc.size)
			for i := range count + 100 {
				if i == 100 {
					before = heap()
				}
				s, c := tlssession.Server(l, noWake{}, server), tlssession.Client(l, noWake{}, client)
				talk(t, s, c, message)
				c.Close()
				if i >= 100 {
					idle = append(idle, s)
				}
			}
			each := (heap() - before) / count
			t.Logf("%d bytes of heap a session, %d-byte messages", each, tc.size)
			if each > tc.limit {
				t.Errorf("%d bytes of heap a session, at most %d wanted", each, tc.limit)
			}
			for _, s := range idle {
				s.Close()
			}
		})
	}
}

// talk shakes hands and sends message both ways.
func talk(t testing.TB, s, c *tlssession.Session, message []byte) {
	t.Helper()
	buf := make([]byte, 32<<10)
	move := func(from, to *tlssession.Session) {
		if err := to.Feed(from.Output()); err != nil {
			t.Fatal(err)
		}
		if to.HandshakePending() {
			if err := to.Handshake(); err != nil && err != tlssession.ErrMore {
				t.Fatal(err)
			}
		}
		to.Keep()
		from.Sent(len(from.Output()))
	}
	_ = c.Handshake()
	for s.HandshakePending() || c.HandshakePending() {
		move(c, s)
		move(s, c)
	}
	for _, pair := range [][2]*tlssession.Session{{c, s}, {s, c}} {
		if _, err := pair[0].Write(message); err != nil {
			t.Fatal(err)
		}
		move(pair[0], pair[1])
		for got := 0; got < len(message); {
			n, err := pair[1].Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
		if _, err := pair[1].Read(buf); err != tlssession.ErrMore {
			t.Fatal(err)
		}
	}
}

// TestAllocations holds Write to none and Read to those of crypto/tls itself, one or two a record.
func TestAllocations(t *testing.T) {
	l := tlssession.NewLoop(&recycler{})
	defer l.Close()
	s := tlssession.Server(l, noWake{}, tlssession.Prepare(&tls.Config{Certificates: []tls.Certificate{pki().issue(t, "ecdsa", nil)}}))
	c := tlssession.Client(l, noWake{}, tlssession.Prepare(&tls.Config{RootCAs: pki().roots, ServerName: "localhost"}))
	talk(t, s, c, data(1000))
	message, buf := data(40_000), make([]byte, 64<<10)
	if n := testing.AllocsPerRun(100, func() {
		_, _ = s.Write(message)
		s.Sent(len(s.Output()))
	}); n > 0 {
		t.Errorf("Write of three records: %v allocations", n)
	}
	const records = 3
	talkOnce := func() {
		_, _ = c.Write(message)
		for out := c.Output(); len(out) > 0; {
			k := min(len(out), 10_000) // records in pieces, so that some wait in a borrowed buffer
			_ = s.Feed(out[:k])
			for err := error(nil); err == nil; _, err = s.Read(buf) {
			}
			out = out[k:]
		}
		c.Sent(len(c.Output()))
	}
	if n := testing.AllocsPerRun(100, talkOnce); n > 2*records {
		t.Errorf("Read of %d records: %v allocations", records, n)
	} else {
		t.Logf("%v allocations for %d records", n, records)
	}
	s.Close()
	c.Close()
}
