package tlssession_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/tlssession"
)

// drive runs s over c until either ends, and answers each plaintext with "got" and its text. piece
// is how many bytes are fed at once.
func drive(s *side, c net.Conn, piece int) error {
	flush := func() error {
		for len(s.Output()) > 0 {
			n, err := c.Write(s.Output())
			if err != nil {
				return err
			}
			s.Sent(n)
		}
		return nil
	}
	s.act()
	buf := make([]byte, 16<<10)
	for {
		if err := flush(); err != nil {
			return err
		}
		n, err := c.Read(buf)
		if err != nil {
			s.FeedEOF()
			s.act()
			return s.err
		}
		for p := buf[:n]; len(p) > 0; {
			k := min(piece, len(p))
			s.feed(p[:k])
			p = p[k:]
			if line, ok := bytes.CutSuffix(s.plain.Bytes(), []byte("\n")); ok {
				s.todo = fmt.Appendf(nil, "got %s\n", line)
				s.plain.Reset()
				s.act()
			}
			if s.err == nil {
				continue
			}
			if err := flush(); err != nil {
				return err
			}
			return s.err
		}
	}
}

// program is an openssl that is told lines and awaited by what it says.
type program struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.WriteCloser
	mu   sync.Mutex
	said bytes.Buffer
	more chan struct{}
}

func openssl(t *testing.T, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	p := &program{t: t, cmd: exec.CommandContext(ctx, "openssl", args...), more: make(chan struct{}, 1)}
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if p.in, err = p.cmd.StdinPipe(); err == nil {
		err = p.cmd.Start()
	}
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r := bufio.NewReader(out)
		for {
			b := make([]byte, 4096)
			n, err := r.Read(b)
			p.mu.Lock()
			p.said.Write(b[:n])
			p.mu.Unlock()
			select {
			case p.more <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = p.in.Close()
		cancel()
		_ = p.cmd.Wait()
		<-done
		out.Close()
	})
	return p
}

func (p *program) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

func (p *program) tell(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, s); err != nil {
		p.t.Fatal(err)
	}
}

// await waits until count of text were said.
func (p *program) await(count int, text string) {
	p.t.Helper()
	limit := time.After(30 * time.Second)
	for strings.Count(p.text(), text) < count {
		select {
		case <-p.more:
		case <-limit:
			p.t.Fatalf("openssl never said %q %d times:\n%s", text, count, p.text())
		}
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// serveOne drives a server session for the next connection and returns how it ended.
func serveOne(t *testing.T, ln net.Listener, c *tls.Config, piece int) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	l := newLoop(t)
	s := l.server(c)
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			err = drive(s, conn, piece)
			conn.Close()
		}
		ended <- err
	}()
	return ended
}

func finish(t *testing.T, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the session does not end")
		return nil
	}
}

// TestOpenSSLClient feeds what openssl's client sends byte by byte and at once: data, KeyUpdates
// with and without request, close_notify.
func TestOpenSSLClient(t *testing.T) {
	for _, version := range []string{"-tls1_3", "-tls1_2"} {
		for _, piece := range []int{1, 16 << 10} {
			t.Run(fmt.Sprintf("%s/%d", version, piece), func(t *testing.T) {
				ln := listen(t)
				ended := serveOne(t, ln, &tls.Config{Certificates: []tls.Certificate{pki().issue(t, "ecdsa", nil)}}, piece)
				p := openssl(t, "s_client", version, "-msg", "-quiet", "-no_ign_eof", "-connect", ln.Addr().String())
				p.await(1, "Finished")
				p.tell("first\n")
				p.await(1, "got first\n")
				if version == "-tls1_3" {
					p.tell("K\n") // asks for ours too
					p.await(2, "], KeyUpdate")
					p.tell("second\n")
					p.await(1, "got second\n")
					p.tell("k\n")
					p.await(3, "], KeyUpdate")
					p.tell("K\n")
					p.await(5, "], KeyUpdate")
				}
				p.tell("third\n")
				p.await(1, "got third\n")
				p.tell("Q\n")
				if err := finish(t, ended); err != io.EOF {
					t.Errorf("ended with %v", err)
				}
			})
		}
	}
}

// TestOpenSSLServer is the same for our client's side.
func TestOpenSSLServer(t *testing.T) {
	dir := writePair(t, pki().issue(t, "ecdsa", nil))
	for _, version := range []string{"-tls1_3", "-tls1_2"} {
		for _, piece := range []int{1, 16 << 10} {
			t.Run(fmt.Sprintf("%s/%d", version, piece), func(t *testing.T) {
				port := freePort(t)
				p := openssl(t, "s_server", version, "-msg", "-cert", filepath.Join(dir, "cert.pem"), "-key", filepath.Join(dir, "key.pem"), "-accept", port)
				p.await(1, "ACCEPT")
				conn, err := net.Dial("tcp", port)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				l := newLoop(t)
				s := l.client(&tls.Config{RootCAs: pki().roots, ServerName: "localhost"})
				ended := make(chan error, 1)
				go func() { ended <- drive(s, conn, piece) }()
				p.await(1, "CIPHER is")
				p.tell("first\n")
				p.await(1, "got first\n")
				if version == "-tls1_3" {
					p.tell("K\n")
					p.await(2, "], KeyUpdate")
					p.tell("second\n")
					p.await(1, "got second\n")
					p.tell("k\n")
					p.await(3, "], KeyUpdate")
				}
				p.tell("third\n")
				p.await(1, "got third\n")
				p.tell("Q\n")
				if err := finish(t, ended); reasonOf(err) != tlssession.Truncated { // openssl's Q sends no close_notify
					t.Errorf("ended with %v", err)
				}
			})
		}
	}
}

// TestRenegotiationIsRefused asks for one from either side.
func TestRenegotiationIsRefused(t *testing.T) {
	t.Run("client asks", func(t *testing.T) {
		ln := listen(t)
		ended := serveOne(t, ln, &tls.Config{Certificates: []tls.Certificate{pki().issue(t, "ecdsa", nil)}}, 1)
		p := openssl(t, "s_client", "-tls1_2", "-msg", "-quiet", "-no_ign_eof", "-legacy_renegotiation", "-connect", ln.Addr().String())
		p.await(1, "Finished")
		p.tell("first\n")
		p.await(1, "got first\n")
		p.tell("R\n")
		if err := finish(t, ended); reasonOf(err) != tlssession.Renegotiation {
			t.Errorf("ended with %v\n%s", err, p.text())
		}
	})
	t.Run("server asks", func(t *testing.T) {
		dir, port := writePair(t, pki().issue(t, "ecdsa", nil)), freePort(t)
		p := openssl(t, "s_server", "-tls1_2", "-msg", "-cert", filepath.Join(dir, "cert.pem"), "-key", filepath.Join(dir, "key.pem"), "-accept", port)
		p.await(1, "ACCEPT")
		conn, err := net.Dial("tcp", port)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		s := newLoop(t).client(&tls.Config{RootCAs: pki().roots, ServerName: "localhost"})
		ended := make(chan error, 1)
		go func() { ended <- drive(s, conn, 1) }()
		p.await(1, "CIPHER is")
		p.tell("r\n")
		if err := finish(t, ended); reasonOf(err) != tlssession.Renegotiation {
			t.Errorf("ended with %v\n%s", err, p.text())
		}
	})
}

// TestResumptionByOpenSSL resumes a session by its ticket, which offers no early data.
func TestResumptionByOpenSSL(t *testing.T) {
	file := filepath.Join(t.TempDir(), "session")
	cert := pki().issue(t, "ecdsa", nil)
	config := tlssession.Prepare(&tls.Config{Certificates: []tls.Certificate{cert}})
	for i, args := range [][]string{{"-sess_out", file}, {"-sess_in", file}} {
		ln, l := listen(t), newLoop(t)
		s := newSide(l, tlssession.Server(l.Loop, l.wake, config))
		ended := make(chan error, 1)
		go func() {
			conn, err := ln.Accept()
			if err == nil {
				err = drive(s, conn, 1)
				conn.Close()
			}
			ended <- err
		}()
		p := openssl(t, append([]string{"s_client", "-tls1_3", "-no_ign_eof", "-connect", ln.Addr().String()}, args...)...)
		p.await(1, "Early data was not sent")
		p.tell("hello\n")
		p.await(1, "got hello\n")
		p.tell("Q\n")
		if err := finish(t, ended); err != io.EOF {
			t.Errorf("ended with %v", err)
		}
		p.await(1, "Max Early Data: 0") // of the ticket: 0-RTT is not offered
		if resumed := strings.Contains(p.text(), "Reused, TLSv1.3"); resumed != (i == 1) {
			t.Errorf("connection %d: resumed %v", i, resumed)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func writePair(t *testing.T, c tls.Certificate) string {
	t.Helper()
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: c.Certificate[0]},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
