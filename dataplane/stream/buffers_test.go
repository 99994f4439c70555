package stream

import "testing"

func TestBuffersAreUsedAgain(t *testing.T) {
	for name, tc := range map[string]struct{ want, room int }{
		"nothing":             {0, 4 << 10},
		"a little":            {1, 4 << 10},
		"a whole class":       {8 << 10, 8 << 10},
		"a record":            {18 << 10, 32 << 10},
		"more than a session": {300 << 10, 300 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			var b buffers
			p := b.Borrow(tc.want)
			if len(p) != 0 || cap(p) != tc.room {
				t.Fatalf("%d of %d bytes, want 0 of %d", len(p), cap(p), tc.room)
			}
			b.Return(p[:cap(p)])
			again := b.Borrow(tc.want)
			if reused := &again[:1][0] == &p[:1][0]; reused != (tc.room <= 1<<largest) || len(again) != 0 {
				t.Errorf("used again %v, %d bytes long", reused, len(again))
			}
		})
	}
}

func TestBuffersKeepFew(t *testing.T) {
	var b buffers
	for range 2 * spares {
		b.Return(make([]byte, 0, 4<<10))
	}
	if n := len(b.spare[0]); n != spares {
		t.Errorf("%d buffers are kept, want %d", n, spares)
	}
	b.Return(make([]byte, 0, 5000)) // not one of ours
	if n := len(b.spare[0]); n != spares {
		t.Errorf("%d buffers are kept", n)
	}
}
