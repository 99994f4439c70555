package tlssession_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/tlssession"
)

// authority issues certificates for localhost with one key of each kind.
type authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	roots *x509.CertPool
	keys  map[string]crypto.Signer
}

var pki = sync.OnceValue(func() *authority {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	a := &authority{key: key, roots: x509.NewCertPool(), keys: map[string]crypto.Signer{}}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	must(err)
	a.cert, err = x509.ParseCertificate(der)
	must(err)
	a.roots.AddCert(a.cert)
	a.keys["ecdsa"], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	a.keys["rsa"], err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	_, a.keys["ed25519"], err = ed25519.GenerateKey(rand.Reader)
	must(err)
	return a
})

// issue makes a certificate for localhost, changed by change.
func (a *authority) issue(t testing.TB, kind string, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: kind}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(tmpl)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, a.keys[kind].Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.keys[kind]}
}

// pool lends buffers and spoils what it gets back.
type pool struct {
	t           testing.TB
	outstanding map[*byte]bool
	bytes, most int
}

func newPool(t testing.TB) *pool { return &pool{t: t, outstanding: map[*byte]bool{}} }

func (p *pool) Borrow(n int) []byte {
	b := make([]byte, n)
	p.outstanding[&b[0]] = true
	p.bytes += n
	p.most = max(p.most, p.bytes)
	return b[:0]
}

func (p *pool) Return(b []byte) {
	b = b[:cap(b)]
	if !p.outstanding[&b[0]] {
		p.t.Errorf("a buffer of %d bytes was returned that is not lent", len(b))
	}
	delete(p.outstanding, &b[0])
	p.bytes -= len(b)
	for i := range b {
		b[i] = 0xaa
	}
}

// wakes is a Waker that counts in a channel.
type wakes chan struct{}

func (w wakes) Wake() {
	select {
	case w <- struct{}{}:
	default:
	}
}

// loopRig is a loop without sockets, whose end checks that nothing is left.
type loopRig struct {
	*tlssession.Loop
	t    testing.TB
	pool *pool
	wake wakes
}

func newLoop(t testing.TB) *loopRig {
	p := newPool(t)
	l := &loopRig{Loop: tlssession.NewLoop(p), t: t, pool: p, wake: make(wakes, 1)}
	t.Cleanup(func() {
		l.Close()
		if len(p.outstanding) > 0 {
			t.Errorf("%d buffers with %d bytes were not returned", len(p.outstanding), p.bytes)
		}
	})
	return l
}

func (l *loopRig) server(c *tls.Config) *side {
	return newSide(l, tlssession.Server(l.Loop, l.wake, tlssession.Prepare(c)))
}

func (l *loopRig) client(c *tls.Config) *side {
	return newSide(l, tlssession.Client(l.Loop, l.wake, tlssession.Prepare(c)))
}

// side is a session as its owner drives it.
type side struct {
	*tlssession.Session
	loop     *loopRig
	scratch  []byte
	plain    bytes.Buffer
	todo     []byte // to write
	err      error  // Read's or Handshake's last word
	over     bool   // the handshake is
	saidMore bool   // ErrMore was the last word
}

func newSide(l *loopRig, s *tlssession.Session) *side {
	l.t.Cleanup(s.Close)
	return &side{Session: s, loop: l, scratch: make([]byte, 64<<10)}
}

// feed gives p, reads what can be read and spoils the memory it lent.
func (s *side) feed(p []byte) {
	if s.err != nil {
		return
	}
	lent := s.scratch[:copy(s.scratch, p)]
	s.saidMore = false
	if s.err = s.Feed(lent); s.err == nil {
		s.act()
	}
	if !s.saidMore { // ErrMore ends the loan by itself
		s.Keep()
	}
	for i := range lent {
		lent[i] = 0x55
	}
}

func (s *side) act() {
	if !s.over {
		err := s.Handshake()
		if err == tlssession.ErrMore {
			s.saidMore = true
			return
		}
		if s.err = err; err != nil {
			return
		}
		s.over = true
	}
	buf := make([]byte, 4000)
	for {
		n, err := s.Read(buf)
		s.plain.Write(buf[:n])
		if err == tlssession.ErrMore {
			s.saidMore = true
			break
		}
		if err != nil {
			s.err = err
			return
		}
	}
	for len(s.todo) > 0 && len(s.Output()) < 64<<10 {
		n := min(len(s.todo), 20000)
		if _, err := s.Write(s.todo[:n]); err != nil {
			s.err = err
			return
		}
		s.todo = s.todo[n:]
	}
}

// send moves Output to the other side in pieces.
func (s *side) send(to *side, piece func() int) bool {
	sent := false
	for len(s.Output()) > 0 {
		n := min(piece(), len(s.Output()), max(1, to.Room()))
		to.feed(s.Output()[:n])
		s.Sent(n)
		sent = true
	}
	return sent
}

func whole() int { return 60 << 10 }

// exchange runs both until nothing moves any more and nothing works aside.
func exchange(t testing.TB, a, b *side, piece func() int) {
	t.Helper()
	for {
		for _, s := range []*side{a, b} {
			if s.err == nil {
				s.act()
			}
		}
		x, y := a.send(b, piece), b.send(a, piece)
		if x || y {
			continue
		}
		if a.err == nil && a.over && b.err == nil && b.over && len(a.todo)+len(b.todo) == 0 || a.err != nil || b.err != nil {
			return
		}
		if len(a.todo)+len(b.todo) > 0 && a.over && b.over {
			continue
		}
		select {
		case <-a.loop.wake:
		case <-b.loop.wake:
		case <-time.After(10 * time.Second):
			t.Fatalf("nothing moves: over %v %v, errors %v %v", a.over, b.over, a.err, b.err)
		}
	}
}

// reasonOf is an *Error's Reason; EOF for io.EOF.
func reasonOf(err error) tlssession.Reason {
	var e *tlssession.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	if err == io.EOF {
		return "EOF"
	}
	return ""
}
