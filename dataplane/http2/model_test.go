package http2_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/truepacs/balancer/dataplane/http2"
)

// windows is what a client knows of its own flow-control windows.
type windows struct {
	initial, conn int
	streams       map[uint32]int
	left          map[uint32]int // content to come
}

// take holds what was sent against the windows.
func (w *windows) take(t *rapid.T, frames []string) {
	for _, f := range data(frames) {
		var id uint32
		var n int
		fmt.Sscanf(f, "DATA %d %d", &id, &n)
		w.conn -= n
		w.streams[id] -= n
		w.left[id] -= n
		if n > 0 && (w.conn < 0 || w.streams[id] < 0) || w.left[id] < 0 || n > 16384 {
			t.Fatalf("%s: window %d of %d, %d left", f, w.streams[id], w.conn, w.left[id])
		}
	}
}

// TestWindowsAreKept: whatever a client does to its windows, none is exceeded, and in the end
// everything comes.
func TestWindowsAreKept(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := connected(t, http2.Config{OutputLimit: rapid.SampledFrom([]int{1, 5000, 70_000}).Draw(r, "limit")})
		out := &sender{left: map[*http2.Stream]int{}}
		w := &windows{initial: 65535, conn: 65535, streams: map[uint32]int{}, left: map[uint32]int{}}
		p.h.writable = out.send
		p.h.request = func(s *http2.Stream, _ *http2.Request, _ bool) {
			s.Respond(200, nil, false)
			out.left[s] = w.left[s.ID()]
			out.send(s)
		}
		id := uint32(1)
		seen := 0 // of the output
		look := func(r *rapid.T) {
			p.out.Write(p.c.Output()[seen:])
			seen = len(p.c.Output())
			w.take(r, p.read())
		}
		r.Repeat(map[string]func(*rapid.T){
			"request": func(r *rapid.T) {
				w.left[id] = rapid.IntRange(0, 50_000).Draw(r, "size")
				w.streams[id] = w.initial
				p.request(id, "GET", true)
				id += 2
			},
			"update": func(r *rapid.T) {
				n := rapid.IntRange(1, 40_000).Draw(r, "by")
				w.conn += n
				p.WriteWindowUpdate(0, uint32(n))
				if len(w.streams) > 0 {
					s := rapid.SampledFrom(slices.Sorted(maps.Keys(w.streams))).Draw(r, "stream")
					w.streams[s] += n
					p.WriteWindowUpdate(s, uint32(n))
				}
			},
			"settings": func(r *rapid.T) {
				n := rapid.IntRange(0, 70_000).Draw(r, "initial")
				for s := range w.streams {
					w.streams[s] += n - w.initial
				}
				w.initial = n
				p.WriteSettings(window(uint32(n))...)
			},
			"write": func(r *rapid.T) {
				n := rapid.IntRange(0, len(p.c.Output())).Draw(r, "bytes")
				seen -= n
				p.c.Sent(n)
			},
			"": func(r *rapid.T) {
				p.feed()
				look(r)
				if p.feedErr != nil {
					r.Fatal(p.feedErr)
				}
			},
		})
		w.conn += 1 << 30
		for s := range w.streams {
			w.streams[s] += 1<<30 - w.initial
		}
		p.WriteWindowUpdate(0, 1<<30)
		p.WriteSettings(window(1 << 30)...)
		p.feed()
		for look(r); seen > 0; look(r) {
			p.c.Sent(seen)
			seen = 0
		}
		for s, n := range w.left {
			if n != 0 {
				r.Fatalf("stream %d: %d bytes did not come", s, n)
			}
		}
		if p.c.Streams() != 0 {
			r.Fatalf("%d streams are not over", p.c.Streams())
		}
	})
}
