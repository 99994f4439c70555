package http2_test

import (
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"

	"github.com/truepacs/balancer/dataplane/http2"
)

// floods are what a peer may do only so often. i counts from 0, an odd stream number is 2i+3.
var floods = map[string]struct {
	once func(p *peer, i int)
	want string // part of the error
}{
	"PING":          {func(p *peer, _ int) { p.WritePing(false, [8]byte{}) }, "frames of no use"},
	"PING ack":      {func(p *peer, _ int) { p.WritePing(true, [8]byte{}) }, "frames of no use"},
	"SETTINGS":      {func(p *peer, _ int) { p.WriteSettings() }, "frames of no use"},
	"SETTINGS ack":  {func(p *peer, _ int) { p.WriteSettingsAck() }, "frames of no use"},
	"PRIORITY":      {func(p *peer, _ int) { raw(p, xhttp2.FramePriority, 0, 1, "\x00\x00\x00\x00\x10") }, "frames of no use"},
	"GOAWAY":        {func(p *peer, _ int) { p.WriteGoAway(0, 0, nil) }, "frames of no use"},
	"unknown":       {func(p *peer, _ int) { raw(p, 99, 0, 1, "") }, "frames of no use"},
	"empty DATA":    {func(p *peer, _ int) { p.WriteData(1, false, nil) }, "frames of no use"},
	"only padding":  {func(p *peer, _ int) { p.WriteDataPadded(1, false, nil, make([]byte, 9)) }, "frames of no use"},
	"WINDOW_UPDATE": {func(p *peer, _ int) { p.WriteWindowUpdate(0, 1) }, "frames of no use"},
	"late RST_STREAM": {func(p *peer, i int) {
		if i == 0 {
			p.request(3, "GET", true)
		}
		p.WriteRSTStream(3, xhttp2.ErrCodeCancel)
	}, "frames of no use"},
	"drip by windows":  {func(p *peer, _ int) { p.WriteWindowUpdate(1, 1) }, "frames of no use"},
	"drip by SETTINGS": {func(p *peer, i int) { p.WriteSettings(window(uint32(i))...) }, "frames of no use"},
	"CONTINUATION": {func(p *peer, i int) {
		if i == 0 {
			raw(p, xhttp2.FrameHeaders, 0, 3, "")
		}
		p.WriteContinuation(3, false, nil)
	}, "CONTINUATION"},
	"rapid reset":              {func(p *peer, i int) { p.request(uint32(2*i+3), "GET", true); p.WriteRSTStream(uint32(2*i+3), 8) }, "streams reset"},
	"malformed requests":       {func(p *peer, i int) { p.request(uint32(2*i+3), "GET", true, "A", "b") }, "streams reset"},
	"refused streams":          {func(p *peer, i int) { p.request(uint32(2*i+3), "GET", true) }, "streams reset"},
	"made to reset by windows": {func(p *peer, i int) { p.request(uint32(2*i+3), "GET", true); p.WriteWindowUpdate(uint32(2*i+3), 0) }, "streams reset"},
	"made to reset by large windows": {func(p *peer, i int) {
		p.request(uint32(2*i+3), "GET", true)
		p.WriteWindowUpdate(uint32(2*i+3), 1<<31-1)
	}, "streams reset"},
	"made to reset by PRIORITY": {func(p *peer, i int) {
		p.request(uint32(2*i+3), "GET", true)
		raw(p, xhttp2.FramePriority, 0, uint32(2*i+3), "")
	}, "streams reset"},
	"made to reset by DATA": {func(p *peer, i int) { p.request(uint32(2*i+3), "GET", true); p.WriteData(uint32(2*i+3), false, nil) }, "streams reset"},
	"made to reset by content-length": {func(p *peer, i int) {
		p.request(uint32(2*i+3), "PUT", false, "content-length", "1")
		p.WriteData(uint32(2*i+3), true, nil)
	}, "streams reset"},
}

func TestFloods(t *testing.T) {
	for name, tc := range floods {
		t.Run(name, func(t *testing.T) {
			p := connected(t, http2.Config{Resets: 100, Glitches: 1000})
			p.h.request = func(s *http2.Stream, _ *http2.Request, _ bool) {
				if s.ID() == 1 { // waits for a window
					s.Respond(200, nil, false)
					s.Data(make([]byte, 1<<20), true)
				}
			}
			p.h.writable = func(s *http2.Stream) { s.Data(make([]byte, 1<<20), true) }
			p.WriteSettings(window(0)...)
			p.request(1, "PUT", false)
			most := 0
			for i := 0; i < 20_000 && p.feedErr == nil; i++ {
				tc.once(p, i)
				p.feed()
				most = max(most, len(p.c.Output()))
				p.c.Sent(len(p.c.Output()))
			}
			if p.feedErr == nil || !strings.Contains(p.feedErr.Error(), tc.want) || !strings.Contains(p.feedErr.Error(), "ENHANCE_YOUR_CALM") {
				t.Errorf("got %v", p.feedErr)
			}
			if most > 2000 {
				t.Errorf("%d bytes of output", most)
			}
		})
	}
}

// TestFieldBlockIsBounded: beyond twice MaxFields the connection ends.
func TestFieldBlockIsBounded(t *testing.T) {
	p := connected(t, http2.Config{MaxFields: 20_000})
	raw(p, xhttp2.FrameHeaders, 1, 1, strings.Repeat("\x82", 16384))
	p.WriteContinuation(1, false, []byte(strings.Repeat("\x82", 16384)))
	p.feed()
	if p.feedErr != nil {
		t.Fatal(p.feedErr)
	}
	p.WriteContinuation(1, true, []byte(strings.Repeat("\x82", 16384)))
	p.feed()
	if p.feedErr == nil || !strings.Contains(p.feedErr.Error(), "ENHANCE_YOUR_CALM") {
		t.Errorf("got %v", p.feedErr)
	}
}

// TestUseFillsBudgets: what clients do in daily use is no abuse, however long it goes on.
func TestUseFillsBudgets(t *testing.T) {
	answer := func(s *http2.Stream) {
		s.Respond(200, nil, false)
		s.Data(make([]byte, 100), true)
	}
	for name, once := range map[string]func(p *peer, i int){
		"four of five requests cancelled": func(p *peer, i int) {
			id := uint32(2*i + 1)
			p.request(id, "GET", true)
			p.feed()
			if i%5 == 0 {
				p.WriteWindowUpdate(0, 100)
				answer(p.h.streams[id])
			} else {
				p.WriteRSTStream(id, xhttp2.ErrCodeCancel)
			}
		},
		"cancelled in the middle of the answer": func(p *peer, i int) {
			id := uint32(2*i + 1)
			p.request(id, "GET", true)
			p.feed()
			p.h.streams[id].Respond(200, nil, false)
			p.WriteRSTStream(id, xhttp2.ErrCodeCancel)
		},
		"frames around each request": func(p *peer, i int) {
			id := uint32(2*i + 1)
			for range 10 {
				p.WritePing(false, [8]byte{})
				p.WriteWindowUpdate(0, 10)
				raw(p, 0x10, 0, 0, "\x00\x00\x00\x01u=1") // PRIORITY_UPDATE
			}
			p.request(id, "GET", true)
			p.feed()
			answer(p.h.streams[id])
		},
		"updates after each frame of a long answer": func(p *peer, i int) {
			if i == 0 {
				p.request(1, "GET", true)
				p.feed()
				p.h.streams[1].Respond(200, nil, false)
			}
			p.h.streams[1].Data([]byte("one event"), false)
			p.WriteWindowUpdate(0, 9)
			p.WriteWindowUpdate(1, 9)
		},
		"measuring while content is sent": func(p *peer, i int) {
			if i == 0 {
				p.request(1, "PUT", false)
				p.h.data = func(s *http2.Stream, b []byte, _ bool) { s.Consumed(len(b)) }
			}
			p.WriteData(1, false, make([]byte, 16384))
			p.WritePing(false, [8]byte{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := connected(t, http2.Config{Resets: 100, Glitches: 1000})
			for i := 0; i < 5000 && p.feedErr == nil; i++ {
				once(p, i)
				p.feed()
				p.c.Sent(len(p.c.Output()))
			}
			if p.feedErr != nil {
				t.Error(p.feedErr)
			}
		})
	}
}
