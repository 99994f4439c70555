package http2_test

import (
	"runtime"
	"testing"

	"github.com/truepacs/balancer/dataplane/http2"
)

// hotHandler answers each request at once without allocating.
type hotHandler struct {
	requests int
	content  [128]byte
}

var (
	hotType  = []byte("Content-Type")
	hotJSON  = []byte("application/dicom+json")
	hotName  = []byte("X-Site")
	hotValue = []byte("main")
)

func (h *hotHandler) Request(s *http2.Stream, _ *http2.Request, _ bool) {
	h.requests++
	w := s.Fields()
	w.Add(hotType, hotJSON)
	w.Add(hotName, hotValue)
	s.Respond(200, w, false)
	s.Data(h.content[:], true)
}

func (h *hotHandler) Data(s *http2.Stream, p []byte, _ bool) { s.Consumed(len(p)) }
func (h *hotHandler) Trailers(*http2.Stream, []http2.Field)  {}
func (h *hotHandler) Reset(*http2.Stream, http2.ErrCode)     {}
func (h *hotHandler) Writable(*http2.Stream)                 {}

// hotConn returns a function that makes so many requests at a time, as a browser repeats them.
func hotConn(tb testing.TB, streams int) (*hotHandler, func()) {
	p := connected(tb, http2.Config{})
	h := &hotHandler{}
	c := http2.New(http2.Config{}, h)
	p.in.WriteString("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	p.WriteSettings()
	fields := []string{"user-agent", "x", "accept", "*/*", "accept-encoding", "gzip", "cookie", "a=b"}
	p.request(1, "GET", true, fields...) // fills the table
	if err := c.Feed(p.in.Bytes()); err != nil {
		tb.Fatal(err)
	}
	p.in.Reset()
	p.WriteWindowUpdate(0, uint32(128*streams))
	for range streams {
		p.request(1, "POST", false, fields...)
		p.WriteData(1, true, h.content[:])
	}
	in := p.in.Bytes()
	id := uint32(1)
	return h, func() {
		for at := 13; at < len(in); {
			// a HEADERS frame and a DATA frame of the next stream
			id += 2
			for range 2 {
				in[at+5], in[at+6], in[at+7], in[at+8] = byte(id>>24), byte(id>>16), byte(id>>8), byte(id)
				at += 9 + int(in[at+1])<<8 + int(in[at+2])
			}
		}
		if err := c.Feed(in); err != nil {
			tb.Fatal(err)
		}
		c.Sent(len(c.Output()))
	}
}

// TestRequestsAllocateNothing: once client and server know each other.
func TestRequestsAllocateNothing(t *testing.T) {
	for _, streams := range []int{1, 32} {
		h, round := hotConn(t, streams)
		for range 100 {
			round() // memory of closed streams and buffers grow to their size
		}
		before := h.requests
		if got := testing.AllocsPerRun(1000, round); got != 0 {
			t.Errorf("%d streams: %v allocations", streams, got)
		}
		if h.requests-before != 1001*streams {
			t.Errorf("%d requests were answered", h.requests-before)
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	_, round := hotConn(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		round()
	}
}

// TestIdleConnectionIsSmall: what was needed for large answers is not kept, and after Trim nothing.
func TestIdleConnectionIsSmall(t *testing.T) {
	for name, tc := range map[string]struct {
		size, limit int // bytes
		trim        bool
	}{
		"after large answers":       {60_000, 4 << 10, false},
		"after small ones, trimmed": {4_000, 4 << 10, true},
	} {
		t.Run(name, func(t *testing.T) {
			idle := make([]*http2.Conn, 200)
			before := heap()
			for i := range idle {
				p, _ := downloads(t, http2.Config{}, nil, tc.size, tc.size)
				p.WriteWindowUpdate(0, 1<<20)
				p.feed()
				p.take()
				if p.c.Streams() != 0 {
					t.Fatal("not answered")
				}
				if tc.trim {
					p.c.Trim()
				}
				*p.h = recorder{}
				idle[i] = p.c
			}
			if each := (heap() - before) / len(idle); each > tc.limit {
				t.Errorf("%d bytes for each connection", each)
			}
			runtime.KeepAlive(idle)
		})
	}
}

// heap returns the bytes in use.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
