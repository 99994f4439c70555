package l7

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/model"
)

// newBenchH2 is a bench whose clients come over TLS.
func newBenchH2(t *testing.T, cfg Config, h http.HandlerFunc) *bench {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.StartTLS() // for its certificate
	pair := s.TLS.Certificates[0]
	s.Close()
	s = httptest.NewServer(h)
	t.Cleanup(s.Close)
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, engine: New(cfg), http: socket.Addr().String()}
	t.Cleanup(b.engine.Close)
	if err := b.engine.Apply(model.Proxy{
		Pools: []model.Pool{{Name: "p", Servers: []model.PoolServer{{Name: "s", Weight: 1, Address: netip.MustParseAddrPort(s.Listener.Addr().String())}}}},
		Listeners: []model.Listener{{
			Name: "https", Address: socket.Addr().(*net.TCPAddr).AddrPort(), Application: model.HTTP, Pool: "p", Algorithm: model.L7RoundRobin,
			TLS: &model.TLS{Certificates: []model.Certificate{{
				Name: "c", CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
				KeyPEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
			}}},
		}},
	}, map[string]net.Listener{"https": socket}); err != nil {
		t.Fatal(err)
	}
	return b
}

// Streams that have ended hold nothing, however they did, while their connection is open.
func TestEndedStreamsHoldNothing(t *testing.T) {
	b := newBenchH2(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		if r.URL.Path == "/early" {
			w.WriteHeader(413)
			return
		}
		_, _ = io.Copy(w, r.Body)
	})
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	c := &http.Client{Transport: tr}
	ask := func(path, body string, read int64) {
		res, err := c.Post("https://"+b.http+path, "x/y", io.MultiReader(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.CopyN(io.Discard, res.Body, read); n != read || err != nil {
			t.Fatal(n, err)
		}
		res.Body.Close() // resets the stream if something is left
	}
	big := strings.Repeat("x", 1<<20)
	for range 20 {
		ask("/", "small", 5)
		ask("/", big, 1<<20)
		ask("/", big, 100_000)
		ask("/early", big, 0)
	}
	until(t, "nothing is lent", func() bool { blocks, pipes := b.lent(); return blocks == 0 && pipes == 0 })
	open := b.look(func(c *httpConn) {
		if c.h2.open != nil || c.h2.http2.Streams() > 0 || len(c.h2.ready) > 0 || c.turn != nil {
			t.Errorf("an idle connection has %+v", c.h2)
		}
	})
	if open != 1 {
		t.Errorf("%d connections, want 1", open)
	}
}

// look has a look at every client connection of HTTP, and returns how many there are.
func (b *bench) look(at func(*httpConn)) (n int) {
	for _, w := range b.engine.workers {
		done := make(chan struct{})
		w.loop.Do(func() {
			defer close(done)
			for c := w.http; c != nil; c = c.next {
				n++
				at(c)
			}
		})
		<-done
	}
	return n
}

// A connection without streams gives back memory after a while, and ends after KeepAlive.
func TestIdleHTTP2(t *testing.T) {
	const keep = trimAfter + 500*time.Millisecond
	b := newBenchH2(t, Config{Timeouts: Timeouts{KeepAlive: keep}}, echoed)
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	res, err := (&http.Client{Transport: tr}).Get("https://" + b.http)
	if err != nil || res.ProtoMajor != 2 {
		t.Fatal(res, err)
	}
	res.Body.Close()
	began, trimmed := time.Now(), false
	until(t, "the connection ends", func() bool {
		return b.look(func(c *httpConn) { trimmed = trimmed || c.h2 != nil && c.h2.trimmed }) == 0
	})
	if took := time.Since(began); !trimmed || took < keep-100*time.Millisecond {
		t.Errorf("memory given back: %v; ended after %s, want %s", trimmed, took, keep)
	}
}
