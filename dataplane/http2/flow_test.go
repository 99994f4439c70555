package http2_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	xhttp2 "golang.org/x/net/http2"

	"github.com/truepacs/balancer/dataplane/http2"
)

// same compares lists; an empty one is like none.
func same(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(got, "\n")); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

// uploads opens streams with content to come.
func uploads(t *testing.T, cfg http2.Config, n int) *peer {
	t.Helper()
	p := connected(t, cfg)
	for i := range n {
		p.request(uint32(2*i+1), "PUT", false)
	}
	p.feed()
	p.h.take()
	return p
}

// content sends n bytes in frames that are as large as allowed.
func (p *peer) content(id uint32, n int, end bool) {
	for ; n > 16384; n -= 16384 {
		p.WriteData(id, false, make([]byte, 16384))
	}
	p.WriteData(id, end, make([]byte, n))
}

// TestWindowIsGivenBack: half a window at a time, for the stream and the connection.
func TestWindowIsGivenBack(t *testing.T) {
	p := uploads(t, http2.Config{StreamWindow: 100_000, ConnWindow: 120_000}, 2)
	p.content(1, 60_000, false)
	p.feed()
	same(t, "before", nil, p.take())
	p.h.streams[1].Consumed(49_999)
	same(t, "less than half", nil, p.take())
	p.h.streams[1].Consumed(1)
	same(t, "half of the stream's", []string{"WINDOW_UPDATE 1 50000"}, p.take())
	p.h.streams[1].Consumed(10_000)
	same(t, "half of the connection's", []string{"WINDOW_UPDATE 0 60000"}, p.take())
	p.h.streams[1].Consumed(1)
	same(t, "more than there was", nil, p.take())
	p.content(1, 90_000, false) // 100,000 - 60,000 + 50,000
	p.feed()
	if p.feedErr != nil || p.c.Streams() != 2 {
		t.Fatal("what was given back cannot be used")
	}
	p.content(1, 1, false)
	p.feed()
	same(t, "more than the window", []string{"RST_STREAM 1 FLOW_CONTROL_ERROR", "WINDOW_UPDATE 0 90000"}, p.take())
}

// TestConnectionWindowIsAnError: more than it is an error of the connection.
func TestConnectionWindowIsAnError(t *testing.T) {
	p := uploads(t, http2.Config{StreamWindow: 65535, ConnWindow: 65535}, 2)
	p.content(1, 65535, false)
	p.content(3, 1, false)
	p.feed()
	if p.feedErr == nil || !strings.Contains(p.feedErr.Error(), "FLOW_CONTROL_ERROR") {
		t.Errorf("got %v", p.feedErr)
	}
}

// TestWindowComesBack: whatever becomes of content, the connection's window does not leak.
func TestWindowComesBack(t *testing.T) {
	drop := func(p *peer) { p.h.streams[1].Reset(http2.Cancel) }
	for name, tc := range map[string]struct {
		first int // bytes before act
		act   func(p *peer)
		then  func(p *peer)
	}{
		"not consumed before our reset":   {40_000, drop, nil},
		"not consumed before their reset": {40_000, func(p *peer) { p.WriteRSTStream(1, xhttp2.ErrCodeCancel) }, nil},
		"after our reset":                 {0, drop, func(p *peer) { p.content(1, 40_000, true) }},
		"too much for content-length": {0, func(p *peer) {
			p.request(3, "PUT", false, "content-length", "1")
			p.content(3, 16_384, false)
			p.content(3, 16_384, false)
		}, nil},
		"padding": {0, func(p *peer) {
			for range 150 {
				p.WriteDataPadded(1, false, nil, make([]byte, 255))
			}
		}, nil},
		"in the middle of a frame": {0, func(p *peer) {
			p.content(1, 16_384, false)
			p.content(1, 16_384, false)
			rest := bytes.Clone(p.in.Bytes()[100:])
			p.in.Truncate(100)
			p.feed()
			drop(p)
			p.in.Write(rest)
		}, nil},
		"handler resets within Data": {0, func(p *peer) {
			p.h.data = func(s *http2.Stream, _ []byte, _ bool) { s.Reset(http2.Cancel) }
			p.content(1, 40_000, true)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := uploads(t, http2.Config{ConnWindow: 65535}, 1)
			if tc.first > 0 {
				p.content(1, tc.first, false)
			}
			p.feed()
			tc.act(p)
			p.feed()
			if tc.then != nil {
				tc.then(p)
				p.feed()
			}
			if got := strings.Join(p.take(), "; "); !strings.Contains(got, "WINDOW_UPDATE 0 3") && !strings.Contains(got, "WINDOW_UPDATE 0 4") {
				t.Errorf("window of the connection was not given back: %s", got)
			}
		})
	}
}

// TestWindowAfterTheEnd: a stream of which all was received needs no window, the connection does.
func TestWindowAfterTheEnd(t *testing.T) {
	p := uploads(t, http2.Config{StreamWindow: 65535, ConnWindow: 65535}, 1)
	p.content(1, 40_000, true)
	p.feed()
	p.h.streams[1].Consumed(40_000)
	same(t, "consumed", []string{"WINDOW_UPDATE 0 40000"}, p.take())
}

// TestStreamIsOver: after both ends, and once everything is consumed.
func TestStreamIsOver(t *testing.T) {
	p := uploads(t, http2.Config{MaxStreams: 1}, 1)
	p.content(1, 1000, true)
	p.feed()
	s := p.h.streams[1]
	s.Respond(200, nil, true)
	if p.c.Streams() != 1 {
		t.Fatal("over while content is with the handler")
	}
	p.request(3, "GET", true)
	p.feed()
	same(t, "one too many", []string{"HEADERS 1 :status=200 end", "RST_STREAM 3 REFUSED_STREAM"}, p.take())
	s.Consumed(1000)
	if p.c.Streams() != 0 {
		t.Error("not over after all was consumed")
	}
	p.request(5, "GET", true)
	p.feed()
	if p.c.Streams() != 1 {
		t.Error("no room for the next stream")
	}
	// Whoever forgot to forget does no harm by these while the memory is not in use again.
	p.h.streams[5].Respond(204, nil, true)
	s.Consumed(1)
	s.Reset(http2.Cancel)
	s.Respond(200, nil, true)
	s.Trailers(nil)
	if n := s.Data([]byte("x"), true); n != 1 {
		t.Errorf("took %d", n)
	}
	same(t, "at the end", []string{"HEADERS 5 :status=204 end"}, p.take())
}

// downloads opens streams that wait for their content, each answered by sender.
func downloads(t *testing.T, cfg http2.Config, settings []xhttp2.Setting, sizes ...int) (*peer, *sender) {
	t.Helper()
	p := connected(t, cfg)
	out := &sender{left: map[*http2.Stream]int{}}
	p.h.writable = out.send
	p.h.request = func(s *http2.Stream, _ *http2.Request, _ bool) {
		s.Respond(200, nil, false)
		out.left[s] = sizes[(s.ID()-1)/2]
		out.send(s)
	}
	p.WriteSettings(settings...)
	for i := range sizes {
		p.request(uint32(2*i+1), "GET", true)
	}
	p.feed()
	return p, out
}

// sender sends zeros.
type sender struct{ left map[*http2.Stream]int }

func (o *sender) send(s *http2.Stream) { o.left[s] -= s.Data(make([]byte, o.left[s]), true) }

// data returns the DATA frames among frames.
func data(frames []string) (got []string) {
	for _, f := range frames {
		if strings.HasPrefix(f, "DATA ") {
			got = append(got, f)
		}
	}
	return got
}

func window(n uint32) []xhttp2.Setting {
	return []xhttp2.Setting{{ID: xhttp2.SettingInitialWindowSize, Val: n}}
}

// TestPeersWindow: content is held back by the stream's window, RFC 9113 section 6.9.
func TestPeersWindow(t *testing.T) {
	p, _ := downloads(t, http2.Config{}, window(10), 25)
	same(t, "window of 10", []string{"DATA 1 10"}, data(p.take()))
	p.WriteSettings(window(3)...) // -7
	p.WriteWindowUpdate(1, 7)     // 0
	p.feed()
	same(t, "negative", nil, data(p.take()))
	p.WriteWindowUpdate(1, 1)
	p.feed()
	same(t, "one byte", []string{"DATA 1 1"}, data(p.take()))
	p.WriteSettings(window(7)...)
	p.feed()
	same(t, "by SETTINGS", []string{"DATA 1 4"}, data(p.take()))
	p.WriteWindowUpdate(1, 100)
	p.feed()
	same(t, "the rest", []string{"DATA 1 10 end"}, data(p.take()))
	if p.c.Streams() != 0 {
		t.Error("not over")
	}
}

// TestEndNeedsNoWindow: a frame without content is sent whatever the windows are.
func TestEndNeedsNoWindow(t *testing.T) {
	p, _ := downloads(t, http2.Config{}, window(0), 0)
	same(t, "end", []string{"DATA 1 0 end"}, data(p.take()))
}

// TestPeersConnectionWindow is shared by the streams in turns, and no frame is larger than 16 KiB.
func TestPeersConnectionWindow(t *testing.T) {
	p, _ := downloads(t, http2.Config{}, window(1<<20), 60_000, 60_000, 100)
	same(t, "first", []string{
		"DATA 1 16384", "DATA 1 16384", "DATA 1 16384", "DATA 1 10848 end", "DATA 3 5535",
	}, data(p.take()))
	p.WriteWindowUpdate(0, 20_000)
	p.feed()
	same(t, "in turns", []string{"DATA 3 16384", "DATA 5 100 end", "DATA 3 3516"}, data(p.take()))
}

// TestTurns: streams that wait for output get as much as each other.
func TestTurns(t *testing.T) {
	sizes := []int{400_000, 400_000, 400_000, 400_000}
	p, _ := downloads(t, http2.Config{OutputLimit: 32 << 10}, window(1<<20), sizes...)
	p.WriteWindowUpdate(0, 1<<30)
	p.feed()
	sent := map[string]int{}
	for range 60 {
		n := min(len(p.c.Output()), 16384+9)
		p.out.Write(p.c.Output()[:n])
		p.c.Sent(n)
		if pending := len(p.c.Output()); pending > 32<<10+16384+9+100 {
			t.Fatalf("%d bytes pending", pending)
		}
	}
	for _, f := range data(p.take()[:60]) {
		var id, n int
		fmt.Sscanf(f, "DATA %d %d", &id, &n)
		sent[fmt.Sprint(id)] += n
	}
	for id, n := range sent {
		if n < 150_000 || n > 300_000 {
			t.Errorf("stream %s got %d", id, n)
		}
	}
	if len(sent) != 4 {
		t.Errorf("got %v", sent)
	}
	if p.c.Streams() != 0 {
		t.Errorf("%d streams are not over", p.c.Streams())
	}
}

// TestOthersTurn: who comes later does not overtake those that wait.
func TestOthersTurn(t *testing.T) {
	p, out := downloads(t, http2.Config{OutputLimit: 1}, window(1<<20), 20_000, 20_000)
	p.h.request = func(s *http2.Stream, _ *http2.Request, _ bool) { s.Respond(200, nil, false) }
	p.request(5, "PUT", false)
	p.feed()
	took := -1
	p.h.writable = func(s *http2.Stream) {
		if s.ID() == 1 && took < 0 {
			took = p.h.streams[5].Data([]byte("x"), false)
		}
		out.send(s)
	}
	p.h.take()
	p.take()
	if took != 0 {
		t.Errorf("took %d", took)
	}
	same(t, "turns", []string{"writable 1", "writable 3", "writable 5"}, p.h.take()[:3])
}

// TestResetWhileWaiting: a stream that is over has no turn.
func TestResetWhileWaiting(t *testing.T) {
	p, _ := downloads(t, http2.Config{OutputLimit: 1}, nil, 20_000, 20_000, 20_000)
	p.WriteRSTStream(3, xhttp2.ErrCodeCancel)
	p.feed()
	p.h.take()
	p.take()
	for _, e := range p.h.take() {
		if strings.HasSuffix(e, " 3") {
			t.Errorf("handler was told: %s", e)
		}
	}
	if p.c.Streams() != 0 {
		t.Errorf("%d streams are not over", p.c.Streams())
	}
}

// TestTrim: a connection goes on after it gave back what it did not need.
func TestTrim(t *testing.T) {
	p, _ := downloads(t, http2.Config{}, nil, 60_000)
	p.c.Trim() // does nothing while there is a stream
	if n := len(data(p.take())); n != 4 || p.c.Streams() != 0 {
		t.Fatalf("%d frames", n)
	}
	p.h.request = func(s *http2.Stream, _ *http2.Request, _ bool) { s.Respond(204, nil, true) }
	p.WritePing(false, [8]byte{})
	p.feed()
	p.c.Trim() // keeps the output
	p.request(3, "GET", true)
	p.feed()
	same(t, "afterwards", []string{"PING ack=true " + string(make([]byte, 8)), "HEADERS 3 :status=204 end"}, p.take())
}

// TestFull: the caller is told when the peer does not read.
func TestFull(t *testing.T) {
	p := connected(t, http2.Config{OutputLimit: 1000})
	for range 59 {
		if p.c.Full() {
			t.Fatal("full too early")
		}
		p.WritePing(false, [8]byte{})
		p.feed()
	}
	if !p.c.Full() {
		t.Error("not full")
	}
	p.c.Sent(100)
	if p.c.Full() {
		t.Error("full after something was sent")
	}
}
