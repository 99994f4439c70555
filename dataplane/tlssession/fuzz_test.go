package tlssession_test

import (
	"crypto/tls"
	"testing"

	"github.com/truepacs/balancer/dataplane/tlssession"
)

// FuzzFeed gives a server any bytes, whole and in pieces: the outcome is the same, what is held is
// bounded by what came, and nothing is left.
func FuzzFeed(f *testing.F) {
	l := newLoop(f)
	hello := l.hello(f)
	f.Add(hello, byte(7))
	f.Add(hello[:len(hello)/2], byte(1))
	f.Add(append(append([]byte(nil), hello...), 20, 3, 3, 0, 1, 1, 21, 3, 3, 0, 2, 2, 48), byte(3))
	f.Add([]byte{21, 3, 1, 0, 2, 2, 70}, byte(2))
	f.Add([]byte{22, 3, 1, 0, 0}, byte(1))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), byte(1))
	f.Add([]byte{22, 3, 1, 0x48, 0, 1, 0, 0x47, 0xfc}, byte(4))
	config := tlssession.Prepare(&tls.Config{Certificates: []tls.Certificate{pki().issue(f, "ecdsa", nil)}})
	f.Fuzz(func(t *testing.T, in []byte, size byte) {
		if len(in) > 100_000 {
			return
		}
		run := func(piece int) tlssession.Reason {
			l := newLoop(t)
			s := newSide(l, tlssession.Server(l.Loop, l.wake, config))
			for p := in; len(p) > 0 && s.err == nil; {
				n := min(piece, len(p), s.Room())
				if n == 0 {
					t.Fatal("no room although all was read")
				}
				s.feed(p[:n])
				p = p[n:]
				if held := l.pool.bytes - len(s.Output()); held > 4*len(in)+2*tlssession.MaxRecord {
					t.Fatalf("%d bytes held of %d", held, len(in))
				}
			}
			if s.err == nil {
				s.FeedEOF()
				s.act()
			}
			if s.err == nil {
				t.Fatal("no handshake is finished by chance")
			}
			s.Close()
			if len(l.pool.outstanding) > 0 {
				t.Fatalf("%d buffers left", len(l.pool.outstanding))
			}
			l.Close()
			return reasonOf(s.err)
		}
		whole, pieces := run(60_000), run(1+int(size))
		if whole != pieces {
			t.Fatalf("whole: %q, in pieces of %d: %q", whole, 1+int(size), pieces)
		}
	})
}
