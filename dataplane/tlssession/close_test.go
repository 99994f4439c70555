package tlssession_test

import (
	"crypto"
	"crypto/tls"
	"fmt"
	"io"
	"testing"

	"github.com/truepacs/balancer/dataplane/tlssession"
)

// slowKey is an RSA key that signs when it is told to.
type slowKey struct {
	crypto.Signer
	begun, finish chan struct{}
}

func (k *slowKey) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	k.begun <- struct{}{}
	<-k.finish
	return k.Signer.Sign(r, digest, o)
}

func (l *loopRig) withSlowKey(t *testing.T) (*side, *slowKey) {
	cert := pki().issue(t, "rsa", nil)
	k := &slowKey{cert.PrivateKey.(crypto.Signer), make(chan struct{}, 1), make(chan struct{})}
	cert.PrivateKey = k
	return l.server(&tls.Config{Certificates: []tls.Certificate{cert}}), k
}

func (l *loopRig) hello(t testing.TB) []byte {
	t.Helper()
	c := l.client(&tls.Config{RootCAs: pki().roots, ServerName: "localhost"})
	if err := c.Handshake(); err != tlssession.ErrMore {
		t.Fatal(err)
	}
	return append([]byte(nil), c.Output()...)
}

// TestLoopGoesOnWhileRSASigns holds a signature and runs another session on the same loop; the
// client's stream may even end meanwhile.
func TestLoopGoesOnWhileRSASigns(t *testing.T) {
	l := newLoop(t)
	s, key := l.withSlowKey(t)
	c := l.client(&tls.Config{RootCAs: pki().roots, ServerName: "localhost"})
	c.act()
	c.send(s, whole)
	<-key.begun
	if err := s.Handshake(); err != tlssession.ErrMore || len(s.Output()) > 0 {
		t.Fatalf("while it signs: %v", err)
	}
	established(t, l, tls.VersionTLS13)
	close(key.finish)
	exchange(t, c, s, whole)
	if c.err != nil || s.err != nil || !s.over {
		t.Fatal(c.err, s.err)
	}
}

// TestCloseInEveryState closes a session in each state; newLoop's cleanup looks for buffers and
// TestMain for goroutines that are left.
func TestCloseInEveryState(t *testing.T) {
	tests := map[string]func(t *testing.T, l *loopRig) *side{
		"fresh": func(t *testing.T, l *loopRig) *side {
			return l.server(&tls.Config{Certificates: []tls.Certificate{pki().issue(t, "ecdsa", nil)}})
		},
		"client, nothing sent": func(_ *testing.T, l *loopRig) *side {
			return l.client(&tls.Config{ServerName: "localhost"})
		},
		"client, hello sent": func(_ *testing.T, l *loopRig) *side {
			c := l.client(&tls.Config{ServerName: "localhost"})
			c.act()
			return c
		},
		"within the first record": func(t *testing.T, l *loopRig) *side {
			s := l.server(&tls.Config{Certificates: []tls.Certificate{pki().issue(t, "ecdsa", nil)}})
			s.feed(l.hello(t)[:100])
			return s
		},
		"flight sent": func(t *testing.T, l *loopRig) *side {
			s := l.server(&tls.Config{Certificates: []tls.Certificate{pki().issue(t, "ecdsa", nil)}})
			s.feed(l.hello(t))
			return s
		},
		"signing": func(t *testing.T, l *loopRig) *side {
			s, key := l.withSlowKey(t)
			s.feed(l.hello(t))
			<-key.begun
			t.Cleanup(func() { close(key.finish) })
			return s
		},
		"signature not collected": func(t *testing.T, l *loopRig) *side {
			s, key := l.withSlowKey(t)
			s.feed(l.hello(t))
			close(key.finish)
			<-l.wake
			return s
		},
		"callback blocked": func(t *testing.T, l *loopRig) *side {
			begun, end := make(chan struct{}), make(chan struct{})
			s := newSide(l, tlssession.Server(l.Loop, l.wake, tlssession.PrepareBlocking(&tls.Config{
				GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
					close(begun)
					<-end
					return nil, io.ErrClosedPipe
				},
			})))
			s.feed(l.hello(t))
			<-begun
			t.Cleanup(func() { close(end) })
			s.feed([]byte{22, 3, 1, 0, 1, 0})
			if got := s.Room(); got != tlssession.MaxHeld-6 {
				t.Errorf("room for %d: the record does not wait", got)
			}
			return s
		},
		"goroutine waits for a record": func(t *testing.T, l *loopRig) *side {
			s := newSide(l, tlssession.Server(l.Loop, l.wake, tlssession.PrepareBlocking(&tls.Config{
				Certificates: []tls.Certificate{pki().issue(t, "ecdsa", nil)},
			})))
			s.feed(l.hello(t))
			<-l.wake
			s.act()
			if len(s.Output()) == 0 {
				t.Error("no flight")
			}
			return s
		},
		"established, half a record": func(t *testing.T, l *loopRig) *side {
			s, c := established(t, l, tls.VersionTLS13)
			_, _ = c.Write(data(20000))
			s.feed(c.Output()[:18000])
			return s
		},
		"refused": func(_ *testing.T, l *loopRig) *side {
			s := l.server(&tls.Config{})
			s.feed([]byte("GET / HTTP/1.1\r\n"))
			return s
		},
	}
	for name, make := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t)
			s := make(t, l)
			s.CloseNotify()
			s.Close()
			s.Close()
			if s.HandshakePending() || s.Readable() || len(s.Output()) > 0 {
				t.Errorf("pending %v, readable %v, %d bytes to send", s.HandshakePending(), s.Readable(), len(s.Output()))
			}
			if err := s.Handshake(); err != tlssession.ErrClosed {
				t.Errorf("Handshake: %v", err)
			}
			if err := s.Feed([]byte{22}); err != tlssession.ErrClosed {
				t.Errorf("Feed: %v", err)
			}
			if _, err := s.Write([]byte{22}); err != tlssession.ErrClosed {
				t.Errorf("Write: %v", err)
			}
			established(t, l, tls.VersionTLS12) // the loop goes on
		})
	}
}

// TestLoopClosedFirst closes a loop before a session that is in its handshake.
func TestLoopClosedFirst(t *testing.T) {
	l, other := newLoop(t), newLoop(t)
	s := l.server(&tls.Config{Certificates: []tls.Certificate{pki().issue(t, "ecdsa", nil)}})
	hello := other.hello(t)
	before := coroutines()
	s.feed(hello)
	if coroutines() != before+1 {
		t.Fatalf("%d coroutines, then %d: they are not counted right", before, coroutines())
	}
	l.Close()
	s.Close()
	if n := coroutines() - before; n > 0 {
		t.Errorf("%d coroutines are left", n)
	}
}

// TestLoopsShareAConfig runs several loops at once with one Config, RSA keys and tickets.
func TestLoopsShareAConfig(t *testing.T) {
	sc := tlssession.Prepare(&tls.Config{Certificates: []tls.Certificate{pki().issue(t, "rsa", nil)}})
	cc := tlssession.Prepare(&tls.Config{RootCAs: pki().roots, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(4)})
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			l := newLoop(t)
			for range 5 {
				s, c := newSide(l, tlssession.Server(l.Loop, l.wake, sc)), newSide(l, tlssession.Client(l.Loop, l.wake, cc))
				c.todo = data(5000)
				exchange(t, c, s, whole)
				if s.err != nil || c.err != nil || s.plain.Len() != 5000 {
					t.Fatal(s.err, c.err, s.plain.Len())
				}
				sc.SetSessionTicketKeys([][32]byte{{byte(i)}, {1}, {2}})
				s.Close()
				c.Close()
			}
		})
	}
}

// TestAbortedCoroutinesAreUsedAgain counts goroutines through a run of aborted handshakes.
func TestAbortedCoroutinesAreUsedAgain(t *testing.T) {
	l := newLoop(t)
	hello := l.hello(t)
	before := coroutines()
	for range 200 {
		s := l.server(&tls.Config{Certificates: []tls.Certificate{pki().issue(t, "ecdsa", nil)}})
		s.feed(hello)
		s.Close()
	}
	if n := coroutines() - before; n != 1 {
		t.Errorf("%d more coroutines, one should have served all", n)
	}
}
