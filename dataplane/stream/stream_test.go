package stream_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/nonblock"
	"github.com/truepacs/balancer/dataplane/stream"
	"github.com/truepacs/balancer/dataplane/tlssession"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echoer is a server on one loop that sends back what it gets, one block at a time, and ends its direction after the
// client has.
type echoer struct {
	t      *testing.T
	group  *eventloop.Group
	shared *stream.Shared
	config *tlssession.Config // nil: clear
	addr   string
	steps  int // how many of a connection's before others have their turn
	open   atomic.Int64
	failed atomic.Int64
}

func newEchoer(t *testing.T, config *tls.Config) *echoer {
	t.Helper()
	group, err := eventloop.New(eventloop.Config{Loops: 1, TurnBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	e := &echoer{t: t, group: group, shared: stream.NewShared(), steps: 100}
	t.Cleanup(func() { group.Close(); e.shared.Close() })
	if config != nil {
		e.config = tlssession.Prepare(config)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e.addr = l.Addr().String()
	raw, _ := l.(*net.TCPListener).SyscallConn()
	_ = raw.Control(func(fd uintptr) { _, err = group.Listen(int(fd), e) })
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *echoer) Accepted(l *eventloop.Loop, from *eventloop.Listener, fd int, _ netip.AddrPort) {
	c := &echo{e: e, loop: l, from: from}
	if err := c.s.Accept(l, fd, c); err != nil {
		_ = nonblock.Close(fd)
		from.Done(l)
		return
	}
	e.open.Add(1)
	if e.config != nil {
		c.s.Secure(e.shared, e.config)
	}
	c.Ready(&c.s, 0)
}

// echo is one connection.
type echo struct {
	e    *echoer
	loop *eventloop.Loop
	from *eventloop.Listener
	s    stream.Stream
	held []byte
	buf  [10_000]byte
	done bool
}

func (c *echo) Ready(s *stream.Stream, events eventloop.Events) {
	err := s.Handshake()
	for n := 0; err == nil && events&eventloop.Closing == 0; n++ {
		if n > c.e.steps {
			s.Again()
			return
		}
		err = c.step()
	}
	if err == stream.ErrAgain && events&eventloop.Closing == 0 {
		return
	}
	if err != io.EOF {
		c.e.failed.Add(1)
	}
	s.Close()
	c.from.Done(c.loop)
	c.e.open.Add(-1)
}

// step writes what is held, or reads; io.EOF: all is done.
func (c *echo) step() error {
	if len(c.held) > 0 {
		n, err := c.s.Write(c.held)
		c.held = c.held[n:]
		return err
	}
	if err := c.s.Flush(); err != nil {
		return err
	}
	if c.done {
		return io.EOF
	}
	n, err := c.s.Read(c.buf[:])
	c.held = c.buf[:n]
	if err == io.EOF {
		c.done = true
		err = c.s.CloseWrite()
	}
	return err
}

func kinds(t *testing.T) map[string]*tls.Config {
	t.Helper()
	small, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	large, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*tls.Config{"clear": nil, "ECDSA": configOf(t, small.Public(), small), "RSA": configOf(t, large.Public(), large)}
}

func configOf(t *testing.T, public, private any) *tls.Config {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a"}, DNSNames: []string{"a"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}}
}

// halfCloser is what clear and TLS connections of the standard library have in common.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

func (e *echoer) dial() halfCloser {
	e.t.Helper()
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if e.config == nil {
		return c.(*net.TCPConn)
	}
	secure := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	if err := secure.Handshake(); err != nil { // before it, CloseWrite is refused
		e.t.Fatal(err)
	}
	return secure
}

func (e *echoer) ended() {
	e.t.Helper()
	for end := time.Now().Add(30 * time.Second); e.open.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			e.t.Fatalf("%d connections do not end", e.open.Load())
		}
	}
}

// What comes back is what was sent, in whatever pieces, and the end of one direction leaves the other open.
func TestEcho(t *testing.T) {
	for name, config := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			e := newEchoer(t, config)
			for _, size := range []int{0, 1, 1000, 16 << 10, 3 << 20} {
				want := make([]byte, size)
				_, _ = rand.Read(want)
				c := e.dial()
				go func() {
					for p := want; len(p) > 0; {
						n, err := c.Write(p[:min(len(p), 1+len(p)/3)])
						if err != nil {
							return
						}
						p = p[n:]
					}
					_ = c.CloseWrite()
				}()
				if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes of %d, %v", len(got), size, err)
				}
			}
			e.ended()
			if n := e.failed.Load(); n != 0 {
				t.Errorf("%d connections failed", n)
			}
		})
	}
}

// Connections of one loop that talk at the same time do not get in each other's way, though they share memory.
func TestManyAtOnce(t *testing.T) {
	for name, config := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			e := newEchoer(t, config)
			e.group.Loops()[0].Do(func() { e.steps = 0 })
			var clients []halfCloser
			for range 8 {
				clients = append(clients, e.dial())
			}
			// The loop stands still until all have sent something, so that it has to go from one to the other.
			sent := make(chan struct{})
			e.group.Loops()[0].Do(func() { <-sent })
			var all sync.WaitGroup
			for i, c := range clients {
				want := bytes.Repeat([]byte{byte(i), byte(i + 1), 3}, 300_000)
				const first = 100_000
				_, _ = c.Write(want[:first])
				all.Go(func() {
					_, _ = c.Write(want[first:])
					_ = c.CloseWrite()
				})
				all.Go(func() {
					if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
						t.Errorf("connection %d: %d bytes of %d, %v", i, len(got), len(want), err)
					}
				})
			}
			close(sent)
			all.Wait()
			e.ended()
		})
	}
}

// A client that sends much and reads nothing stops the server, and gets all of it later.
func TestBackPressure(t *testing.T) {
	for name, config := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			e := newEchoer(t, config)
			c := e.dial()
			const size = 32 << 20
			sent := make(chan error, 1)
			go func() {
				_, err := io.Copy(c, io.LimitReader(zeros{}, size))
				sent <- errors.Join(err, c.CloseWrite())
			}()
			select {
			case err := <-sent:
				t.Fatalf("all was taken though nothing was read: %v", err)
			case <-time.After(300 * time.Millisecond):
			}
			if n, err := io.Copy(io.Discard, c); n != size || err != nil {
				t.Errorf("%d bytes of %d, %v", n, size, err)
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
			e.ended()
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Clients that break off at any byte of the handshake, or say something else, end as a failure and leave nothing.
func TestBrokenHandshakes(t *testing.T) {
	for name, config := range kinds(t) {
		if config == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			e := newEchoer(t, config)
			var hello bytes.Buffer
			_ = tls.Client(recorder{&hello}, &tls.Config{ServerName: "a"}).Handshake()
			if hello.Len() == 0 {
				t.Fatal("no ClientHello was recorded")
			}
			inputs := [][]byte{[]byte("GET / HTTP/1.1\r\n\r\n"), nil, hello.Bytes()}
			for n := 1; n < hello.Len(); n += 37 {
				inputs = append(inputs, hello.Bytes()[:n])
			}
			for _, in := range inputs {
				c, err := net.Dial("tcp", e.addr)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = c.Write(in)
				c.Close()
			}
			for end := time.Now().Add(30 * time.Second); int(e.failed.Load()) < len(inputs); time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%d of %d failed", e.failed.Load(), len(inputs))
				}
			}
			e.ended()
			c := e.dial()
			fmt.Fprint(c, "still here")
			_ = c.CloseWrite()
			if b, err := io.ReadAll(c); err != nil || string(b) != "still here" {
				t.Errorf("%q %v", b, err)
			}
		})
	}
}

// recorder is a connection that keeps what is written and has nothing to be read.
type recorder struct{ *bytes.Buffer }

func (recorder) Read([]byte) (int, error)         { return 0, io.EOF }
func (recorder) Close() error                     { return nil }
func (recorder) LocalAddr() net.Addr              { return nil }
func (recorder) RemoteAddr() net.Addr             { return nil }
func (recorder) SetDeadline(time.Time) error      { return nil }
func (recorder) SetReadDeadline(time.Time) error  { return nil }
func (recorder) SetWriteDeadline(time.Time) error { return nil }
