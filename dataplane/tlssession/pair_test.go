package tlssession_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/truepacs/balancer/dataplane/tlssession"
)

func data(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

// TestPairInPieces runs two sessions against each other, with ciphertext cut in every way, each
// kind of key, both ways to run a handshake, tickets and close_notify.
func TestPairInPieces(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pieces := map[string]func() int{
		"bytes":  func() int { return 1 },
		"random": func() int { return 1 + rnd.IntN(9000) },
		"whole":  whole,
	}
	for name, piece := range pieces {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, key := range []string{"ecdsa", "rsa", "ed25519"} {
				for _, aside := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%s/%s/aside=%v", name, tls.VersionName(version), key, aside), func(t *testing.T) {
						runPair(t, version, key, aside, piece)
					})
				}
			}
		}
	}
}

func runPair(t *testing.T, version uint16, key string, aside bool, piece func() int) {
	cert := pki().issue(t, key, nil)
	server := &tls.Config{
		Certificates: []tls.Certificate{cert}, MaxVersion: version, NextProtos: []string{"h2", "http/1.1"},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pki().roots,
	}
	client := &tls.Config{
		Certificates: []tls.Certificate{cert}, RootCAs: pki().roots, ServerName: "localhost", NextProtos: []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(4),
	}
	prepare := tlssession.Prepare
	if aside {
		prepare = tlssession.PrepareBlocking
	}
	sc, cc := prepare(server), prepare(client)
	l := newLoop(t)
	for round := range 2 {
		s := newSide(l, tlssession.Server(l.Loop, l.wake, sc))
		c := newSide(l, tlssession.Client(l.Loop, l.wake, cc))
		up, down := data(70_000), data(90_001)
		c.todo, s.todo = up, down
		exchange(t, c, s, piece)
		if c.err != nil || s.err != nil {
			t.Fatalf("client: %v, server: %v", c.err, s.err)
		}
		if !bytes.Equal(s.plain.Bytes(), up) || !bytes.Equal(c.plain.Bytes(), down) {
			t.Fatalf("%d up, %d down", s.plain.Len(), c.plain.Len())
		}
		state := s.ConnectionState()
		if state.NegotiatedProtocol != "http/1.1" || state.Version != version || len(state.PeerCertificates) != 1 {
			t.Errorf("%q %x %d", state.NegotiatedProtocol, state.Version, len(state.PeerCertificates))
		}
		if state.DidResume != (round == 1) {
			t.Errorf("round %d: resumed %v", round, state.DidResume)
		}
		c.CloseNotify()
		c.CloseNotify()
		c.send(s, piece)
		if s.err != io.EOF {
			t.Errorf("after close_notify: %v", s.err)
		}
		s.feed([]byte("ignored"))
		if n, err := s.Write([]byte("bye")); n != 3 || err != nil { // the other direction is open
			t.Errorf("Write: %d, %v", n, err)
		}
		s.err = nil
		c.plain.Reset()
		s.send(c, piece)
		if c.plain.String() != "bye" {
			t.Errorf("%q", c.plain.String())
		}
		c.FeedEOF()
		if _, err := c.Read(make([]byte, 9)); reasonOf(err) != tlssession.Truncated {
			t.Errorf("a cut stream: %v", err)
		}
		s.Close()
		c.Close()
		if _, err := c.Read(make([]byte, 9)); err != tlssession.ErrClosed {
			t.Errorf("after Close: %v", err)
		}
	}
	if len(l.pool.outstanding) > 0 {
		t.Errorf("%d buffers left", len(l.pool.outstanding))
	}
}

// TestTruncationAnywhere guards that crypto/tls's leniency does not show.
func TestTruncationAnywhere(t *testing.T) {
	l := newLoop(t)
	for _, cut := range []int{0, 1, 5, 20} {
		s, c := established(t, l, tls.VersionTLS13)
		if _, err := c.Write(data(100)); err != nil {
			t.Fatal(err)
		}
		s.feed(c.Output()[:cut])
		s.FeedEOF()
		s.act()
		if reasonOf(s.err) != tlssession.Truncated || s.plain.Len() > 0 {
			t.Errorf("cut after %d bytes: %v", cut, s.err)
		}
		s.Close()
		c.Close()
	}
}

func established(t testing.TB, l *loopRig, version uint16) (s, c *side) {
	t.Helper()
	s = l.server(&tls.Config{Certificates: []tls.Certificate{pki().issue(t, "ecdsa", nil)}, MaxVersion: version})
	c = l.client(&tls.Config{RootCAs: pki().roots, ServerName: "localhost"})
	exchange(t, c, s, whole)
	if s.err != nil || c.err != nil {
		t.Fatal(s.err, c.err)
	}
	return s, c
}

// TestSlowReader shows that what is fed and not read is bounded and not lost.
func TestSlowReader(t *testing.T) {
	l := newLoop(t)
	s, c := established(t, l, tls.VersionTLS13)
	sent := data(500_000)
	if _, err := c.Write(sent); err != nil {
		t.Fatal(err)
	}
	var got []byte
	buf := make([]byte, 1000)
	for len(got) < len(sent) {
		n := min(s.Room(), len(c.Output()), 50_000)
		lent := bytes.Clone(c.Output()[:n])
		if err := s.Feed(lent); err != nil {
			t.Fatal(err)
		}
		c.Sent(n)
		n, err := s.Read(buf)
		if err != nil && err != tlssession.ErrMore {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
		s.Keep()
		clear(lent)
		if !s.Readable() && len(c.Output()) == 0 && len(got) < len(sent) {
			t.Fatalf("not readable after %d", len(got))
		}
	}
	if !bytes.Equal(got, sent) {
		t.Error("bytes differ")
	}
	if held := l.pool.most - 520_000; held > 2*tlssession.MaxHeld+tlssession.MaxRecord {
		t.Errorf("%d bytes were held", held)
	}
	if err := s.Feed(make([]byte, s.Room()+1)); reasonOf(err) != tlssession.Internal {
		t.Errorf("more than Room: %v", err)
	}
	if s.Readable() {
		t.Error("readable")
	}
}

// TestPendingHandshake shows what each method says while the handshake is pending.
func TestPendingHandshake(t *testing.T) {
	l := newLoop(t)
	s := l.server(&tls.Config{Certificates: []tls.Certificate{pki().issue(t, "ecdsa", nil)}})
	if !s.HandshakePending() || s.Readable() || s.ConnectionState().HandshakeComplete {
		t.Error("not pending")
	}
	if _, err := s.Write([]byte("x")); err != tlssession.ErrMore {
		t.Errorf("Write: %v", err)
	}
	if _, err := s.Read(make([]byte, 1)); err != tlssession.ErrMore {
		t.Errorf("Read: %v", err)
	}
	s.CloseNotify()
	if err := s.Handshake(); err != tlssession.ErrMore || len(s.Output()) > 0 {
		t.Errorf("Handshake: %v, %d bytes", err, len(s.Output()))
	}
	s.FeedEOF()
	if err := s.Handshake(); reasonOf(err) != tlssession.ClosedInHandshake || s.HandshakePending() {
		t.Errorf("Handshake at the end: %v", err)
	}
}
