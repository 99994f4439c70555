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

	"golang.org/x/net/http2"

	"github.com/truepacs/balancer/dataplane/model"
)

// newBenchH2 is a bench whose clients come over TLS.
func newBenchH2(t *testing.T, h http.HandlerFunc) *bench {
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
	b := &bench{t: t, engine: New(Config{}), http: socket.Addr().String()}
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
	b := newBenchH2(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		if r.URL.Path == "/early" {
			w.WriteHeader(413)
			return
		}
		_, _ = io.Copy(w, r.Body)
	})
	tr := &http2.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
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
	open := 0
	for _, w := range b.engine.workers {
		done := make(chan struct{})
		w.loop.Do(func() {
			defer close(done)
			for c := w.http; c != nil; c = c.next {
				open++
				if c.h2.open != nil || c.h2.http2.Streams() > 0 || len(c.h2.ready) > 0 || c.turn != nil {
					t.Errorf("an idle connection has %+v", c.h2)
				}
			}
		})
		<-done
	}
	if open != 1 {
		t.Errorf("%d connections, want 1", open)
	}
}
