package tlssession_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/tlssession"
)

// TestCryptoTLSPeer talks to crypto/tls over a socket, with and without a goroutine.
func TestCryptoTLSPeer(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, piece := range []int{1, 700, 16 << 10} {
			ln := listen(t)
			ended := serveOne(t, ln, &tls.Config{Certificates: []tls.Certificate{pki().issue(t, "ecdsa", nil)}, MaxVersion: version}, piece)
			c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{RootCAs: pki().roots, ServerName: "localhost"})
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			_, _ = io.WriteString(c, "hello\n")
			buf := make([]byte, 10)
			if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "got hello\n" {
				t.Errorf("%q, %v", buf, err)
			}
			c.Close()
			if err := finish(t, ended); err != io.EOF {
				t.Errorf("%x, pieces of %d: ended with %v", version, piece, err)
			}
		}
	}
}

// trickle is a transport that gives a byte at a time and says ErrMore between, which Session
// does not do: it shows how much crypto/tls keeps.
type trickle struct {
	net.Conn
	in     []byte
	out    []byte
	ready  bool
	errors int
}

func (c *trickle) Read(p []byte) (int, error) {
	if !c.ready || len(c.in) == 0 {
		c.ready = true
		c.errors++
		return 0, tlssession.ErrMore
	}
	c.ready = false
	n := copy(p[:1], c.in)
	c.in = c.in[n:]
	return n, nil
}

func (c *trickle) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	return len(p), nil
}

func (c *trickle) SetWriteDeadline(time.Time) error { return nil }

// blocking is what a handshake needs, after which trickle takes over.
type blocking struct {
	net.Conn
	over *trickle
}

func (c *blocking) Read(p []byte) (int, error) {
	if c.over != nil {
		return c.over.Read(p)
	}
	return c.Conn.Read(p)
}

// TestCryptoTLSKeepsItsStateForTemporaryErrors is the assumption itself, apart from Session: run
// it at each update of Go.
func TestCryptoTLSKeepsItsStateForTemporaryErrors(t *testing.T) {
	var ne net.Error
	if !errors.As(tlssession.ErrMore, &ne) || !ne.Temporary() || ne.Timeout() { //nolint:staticcheck // crypto/tls asks this very method
		t.Fatal("ErrMore is not what crypto/tls looks for")
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		a, b := net.Pipe()
		// A ticket follows the handshake in TLS 1.3, and is read in bytes here.
		server := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{pki().issue(t, "ecdsa", nil)}, MaxVersion: version})
		shaken := make(chan error, 1)
		go func() { shaken <- server.Handshake() }()
		transport := &blocking{Conn: b}
		client := tls.Client(transport, &tls.Config{RootCAs: pki().roots, ServerName: "localhost"})
		if err := client.Handshake(); err != nil {
			t.Fatal(err)
		}
		rest := make(chan []byte)
		go func() {
			all, _ := io.ReadAll(b)
			rest <- all
		}()
		if err := <-shaken; err != nil {
			t.Fatal(err)
		}
		_, _ = server.Write([]byte("plaintext"))
		_ = server.CloseWrite()
		a.Close()
		in := &trickle{in: <-rest}
		transport.over = in
		var got []byte
		buf := make([]byte, 100)
		var err error
		for err == nil || err == tlssession.ErrMore {
			var n int
			n, err = client.Read(buf)
			got = append(got, buf[:n]...)
		}
		if string(got) != "plaintext" || err != io.EOF || in.errors < 30 {
			t.Errorf("%x: %q, %v after %d temporary errors", version, got, err, in.errors)
		}
		b.Close()
	}
}
