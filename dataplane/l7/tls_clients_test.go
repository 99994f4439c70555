package l7_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/l7"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/testutil/pki"
)

func bundle(data []byte) model.Bundle { return model.Bundle{Name: "imaging/clients", Data: data} }

// keyPair is a client's certificate.
func keyPair(t *testing.T, i pki.Issued) *tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(i.Chain, i.KeyPEM(t))
	if err != nil {
		t.Fatal(err)
	}
	return &pair
}

// with is a client's configuration that shows a certificate, whatever the server asks for; nil: none.
func with(show *tls.Certificate, version uint16) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, MinVersion: version, MaxVersion: version,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if show == nil {
				return &tls.Certificate{}, nil
			}
			return show, nil
		},
	}
}

// ask sends a request over a TLS connection of its own; with TLS 1.3 the client learns only then that it was refused.
func ask(t *testing.T, addr string, cfg *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	c, err := tls.Dial("tcp", addr, cfg)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
		return tls.ConnectionState{}, err
	}
	b, err := io.ReadAll(c)
	if err == nil && !strings.HasPrefix(string(b), "HTTP/1.1 200") {
		err = errors.New(string(b))
	}
	return c.ConnectionState(), err
}

// TestClientCertificates: who is let in, with the alert that those refused are sent.
func TestClientCertificates(t *testing.T) {
	root, foreign := pki.NewAuthority(t, "Root"), pki.NewAuthority(t, "Foreign")
	middle := root.Intermediate(t, "Issuing", pki.Spec{})
	good, revoked := middle.Issue(t, pki.Spec{CommonName: "viewer 1"}), middle.Issue(t, pki.Spec{CommonName: "viewer 2"})
	tomorrow := time.Now().Add(24 * time.Hour)
	lists := slices.Concat(root.CRL(t, tomorrow), middle.CRL(t, tomorrow, revoked.Cert))
	ended := slices.Concat(root.CRL(t, tomorrow), middle.CRL(t, time.Now().Add(-time.Minute)))
	cas := slices.Concat(root.PEM(), middle.PEM())
	shows := map[string]*tls.Certificate{
		"none": nil, "good": keyPair(t, good), "RSA": keyPair(t, root.Issue(t, pki.Spec{CommonName: "viewer 3", RSA: 2048})),
		"revoked": keyPair(t, revoked), "foreign": keyPair(t, foreign.Issue(t, pki.Spec{CommonName: "viewer 4"})),
		"expired":    keyPair(t, root.Issue(t, pki.Spec{CommonName: "viewer 5", Until: time.Now().Add(-time.Minute)})),
		"a server's": keyPair(t, root.Issue(t, pki.Spec{CommonName: "viewer 6", Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})),
	}
	const ok = ""
	for name, tc := range map[string]struct {
		required bool
		crl      []byte
		want     map[string]string
	}{
		"optional": {false, nil, map[string]string{"none": ok, "good": ok, "RSA": ok, "revoked": ok, "foreign": "unknown certificate authority", "expired": "expired", "a server's": "bad certificate"}},
		"required": {true, nil, map[string]string{"none": "certificate required", "good": ok, "RSA": ok, "revoked": ok, "foreign": "unknown certificate authority", "expired": "expired", "a server's": "bad certificate"}},
		"lists":    {true, lists, map[string]string{"none": "certificate required", "good": ok, "RSA": ok, "revoked": "bad certificate"}},
		"no lists": {false, ended, map[string]string{"none": ok, "good": "bad certificate", "RSA": ok}},
	} {
		t.Run(name, func(t *testing.T) {
			r := tlsRig(t, echo, cert(t, "pacs.example"))
			r.web().TLS.Clients = &model.ClientCertificates{Required: tc.required, CA: bundle(cas)}
			if tc.crl != nil {
				crl := bundle(tc.crl)
				r.web().TLS.Clients.CRL = &crl
			}
			r.apply()
			refused := int64(0)
			for show, want := range tc.want {
				for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
					_, err := ask(t, r.addr(), with(shows[show], version))
					wanted := want
					if show == "none" && want != ok && version == tls.VersionTLS12 {
						wanted = "handshake failure" // TLS 1.2 has no alert of its own for it
					}
					if (err == nil) != (want == ok) || (err != nil && !strings.Contains(err.Error(), wanted)) {
						t.Errorf("%s, version %x: %v, want %q", show, version, err, wanted)
					}
					if want != ok {
						refused++
					}
				}
			}
			eventually(t, "refused handshakes are counted", func() bool { return r.engine.Stats().Listeners[0].Handshakes == refused })
		})
	}
}

// TestRevocationListReplaced: a new list counts from the next handshake, also of sessions that are taken up again; open connections go on.
func TestRevocationListReplaced(t *testing.T) {
	root := pki.NewAuthority(t, "Root")
	client := root.Issue(t, pki.Spec{CommonName: "viewer"})
	tomorrow := time.Now().Add(24 * time.Hour)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		r := tlsRig(t, echo, cert(t, "pacs.example"))
		trust := func(crl []byte) {
			list := bundle(crl)
			r.web().TLS = &model.TLS{Certificates: r.web().TLS.Certificates, Clients: &model.ClientCertificates{Required: true, CA: bundle(root.PEM()), CRL: &list}}
		}
		trust(root.CRL(t, tomorrow))
		r.apply()
		cfg := with(keyPair(t, client), version)
		cfg.ClientSessionCache, cfg.ServerName = tls.NewLRUClientSessionCache(4), "pacs.example"
		for i := range 2 {
			if state, err := ask(t, r.addr(), cfg); err != nil || state.DidResume != (i == 1) {
				t.Fatalf("version %x, connection %d: resumed %v, %v", version, i, state.DidResume, err)
			}
		}
		open, err := tls.Dial("tcp", r.addr(), with(keyPair(t, client), version))
		if err != nil {
			t.Fatal(err)
		}
		defer open.Close()
		c := &raw{t, open, newReader(open)}
		c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response("GET")
		trust(root.CRL(t, tomorrow.Add(time.Hour), client.Cert))
		r.apply()
		if _, err := ask(t, r.addr(), cfg); err == nil {
			t.Errorf("version %x: a revoked client takes its session up again", version)
		}
		if _, err := ask(t, r.addr(), with(keyPair(t, client), version)); err == nil {
			t.Errorf("version %x: a revoked client is let in", version)
		}
		if res, _ := c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response("GET"); res.StatusCode != http.StatusOK {
			t.Errorf("version %x: open connection: %d", version, res.StatusCode)
		}
		// A broken one is refused as a whole, and what was in use stays.
		good := r.web().TLS
		trust([]byte("broken"))
		if err := r.engine.Apply(r.proxy, r.sockets); err == nil || !strings.Contains(err.Error(), "imaging/clients has no revocation list") {
			t.Errorf("a broken list: %v", err)
		}
		r.web().TLS = good
		if _, err := ask(t, r.addr(), with(keyPair(t, client), version)); err == nil {
			t.Errorf("version %x: after a broken list a revoked client is let in", version)
		}
	}
}

// session is a client that keeps its sessions.
func session(show *tls.Certificate, version uint16) *tls.Config {
	cfg := with(show, version)
	cfg.ClientSessionCache, cfg.ServerName = tls.NewLRUClientSessionCache(8), "pacs.example"
	return cfg
}

// TestSessionsAreTakenUp: over new certificates and at every address of the service, at no other
// one, and not under other authorities.
func TestSessionsAreTakenUp(t *testing.T) {
	root := pki.NewAuthority(t, "Root")
	client := keyPair(t, root.Issue(t, pki.Spec{CommonName: "viewer"}))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		r := tlsRig(t, echo, cert(t, "pacs.example"))
		second := r.listen("second", model.HTTP)
		second.Service = r.web().Service
		other := r.listen("other", model.HTTP)
		trust := func(cas []byte) *model.ClientCertificates { return &model.ClientCertificates{CA: bundle(cas)} }
		for i := range r.proxy.Listeners {
			r.proxy.Listeners[i].TLS = &model.TLS{Certificates: []model.Certificate{cert(t, "pacs.example")}, Clients: trust(root.PEM())}
		}
		r.apply()
		addr, addr2, addr3 := r.addr(), r.proxy.Listeners[1].Address.String(), other.Address.String()
		cfg := session(client, version)
		step := func(what, addr string, want bool) {
			t.Helper()
			if state, err := ask(t, addr, cfg); err != nil || state.DidResume != want {
				t.Errorf("version %x, %s: resumed %v, want %v (%v)", version, what, state.DidResume, want, err)
			}
		}
		step("at first", addr, false)
		step("again", addr, true)
		step("at another address", addr2, true)
		r.web().TLS = &model.TLS{Certificates: []model.Certificate{cert(t, "pacs.example")}, Clients: trust(root.PEM())}
		r.apply()
		step("with a new certificate", addr, true)
		step("at another service", addr3, false)
		cfg = session(client, version)
		step("anew", addr, false)
		r.web().TLS = &model.TLS{Certificates: r.web().TLS.Certificates, Clients: trust(slices.Concat(root.PEM(), pki.NewAuthority(t, "New").PEM()))}
		r.apply()
		step("under other authorities", addr, false)
	}
}

// TestSessionsOutliveAnEngine that hands its tickets on.
func TestSessionsOutliveAnEngine(t *testing.T) {
	for _, hand := range []bool{true, false} {
		before, after := tlsRig(t, echo, cert(t, "pacs.example")).apply(), tlsRig(t, echo, cert(t, "pacs.example"))
		after.apply()
		if hand {
			after.engine.SetTickets(before.engine.Tickets())
		}
		cfg := session(nil, tls.VersionTLS13)
		if _, err := ask(t, before.addr(), cfg); err != nil {
			t.Fatal(err)
		}
		if state, err := ask(t, after.addr(), cfg); err != nil || state.DidResume != hand {
			t.Errorf("handed on: %v, resumed: %v, %v", hand, state.DidResume, err)
		}
	}
	if s := fmt.Sprintf("%v %+v %x", model.TicketSecret{Key: []byte("secret")}, []model.TicketSecret{{Key: []byte("secret")}}, model.TicketSecret{Key: []byte("secret")}); strings.Contains(s, "secret}") || strings.Contains(s, "736563") || strings.Contains(s, "115") {
		t.Errorf("a secret is printed: %s", s)
	}
}

// askAgain sends a request on a connection that stays.
func askAgain(c *tls.Conn, r *bufio.Reader) error {
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// TestTLSReplacedUnderTraffic: twenty certificates, each with a bad one after it, and no request fails, on a connection
// that stays or on new ones, and none is shown what was refused.
func TestTLSReplacedUnderTraffic(t *testing.T) {
	r := tlsRig(t, echo, cert(t, "pacs.example")).apply()
	open, err := tls.Dial("tcp", r.addr(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	stop := make(chan struct{})
	var all sync.WaitGroup
	var kept, fresh atomic.Int64
	again := func(count *atomic.Int64, ask func() error) {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := ask(); err != nil {
				t.Errorf("a request failed: %v", err)
				return
			}
			count.Add(1)
		}
	}
	stays := bufio.NewReader(open)
	all.Go(func() { again(&kept, func() error { return askAgain(open, stays) }) })
	for range 2 {
		all.Go(func() {
			again(&fresh, func() error {
				c, err := tls.Dial("tcp", r.addr(), &tls.Config{InsecureSkipVerify: true})
				if err != nil {
					return err
				}
				defer c.Close()
				if name := c.ConnectionState().PeerCertificates[0].Subject.CommonName; name != "pacs.example" {
					return fmt.Errorf("shown %s", name)
				}
				return askAgain(c, bufio.NewReader(c))
			})
		})
	}
	for range 20 {
		at := fresh.Load()
		r.web().TLS = &model.TLS{Certificates: []model.Certificate{cert(t, "pacs.example")}}
		r.apply()
		good, bad := r.web().TLS, cert(t, "bad.example")
		bad.KeyPEM = good.Certificates[0].KeyPEM
		r.web().TLS = &model.TLS{Certificates: []model.Certificate{bad}}
		if err := r.engine.Apply(r.proxy, r.sockets); err == nil || !strings.Contains(err.Error(), "cannot be used together") {
			t.Errorf("a wrong key: %v", err)
		}
		r.web().TLS = good
		eventually(t, "new connections come", func() bool { return fresh.Load() > at+2 || t.Failed() })
	}
	close(stop)
	all.Wait()
	if kept.Load() == 0 {
		t.Error("nothing was asked on the connection that stays")
	}
}

// TestTicketKeysRotate: a ticket lasts for some keys and then no more.
func TestTicketKeysRotate(t *testing.T) {
	r := newRig(t, l7.Config{TicketKeyLife: 100 * time.Millisecond}, serve(t, echo))
	r.web().TLS = &model.TLS{Certificates: []model.Certificate{cert(t, "pacs.example")}}
	r.apply()
	first := session(nil, tls.VersionTLS12) // whose ticket stays the one of the first connection
	if _, err := ask(t, r.addr(), first); err != nil {
		t.Fatal(err)
	}
	kept, _ := first.ClientSessionCache.Get("pacs.example")
	eventually(t, "the ticket's key is gone", func() bool {
		first.ClientSessionCache.Put("pacs.example", kept)
		state, err := ask(t, r.addr(), first)
		return err == nil && !state.DidResume
	})
	slow := newRig(t, l7.Config{}, serve(t, echo))
	slow.web().TLS = r.web().TLS
	slow.apply()
	cfg := session(nil, tls.VersionTLS13)
	for i := range 2 {
		if state, err := ask(t, slow.addr(), cfg); err != nil || state.DidResume != (i == 1) {
			t.Errorf("connection %d: resumed %v, %v", i, state.DidResume, err)
		}
	}
}

// TestCipherSuites: those of TLS 1.2 that are named and no others.
func TestCipherSuites(t *testing.T) {
	r := tlsRig(t, echo, cert(t, "pacs.example"))
	r.web().TLS.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
	r.apply()
	for suite, want := range map[uint16]bool{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: true, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: false} {
		cfg := with(nil, tls.VersionTLS12)
		cfg.CipherSuites = []uint16{suite}
		if state, err := ask(t, r.addr(), cfg); (err == nil) != want || (want && state.CipherSuite != suite) {
			t.Errorf("%s: %v", tls.CipherSuiteName(suite), err)
		}
	}
	if _, err := ask(t, r.addr(), with(nil, tls.VersionTLS13)); err != nil {
		t.Errorf("TLS 1.3: %v", err)
	}
	for _, bad := range []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_AES_128_GCM_SHA256, 0x1234} {
		r.web().TLS.CipherSuites = []uint16{bad}
		if err := r.engine.Apply(r.proxy, r.sockets); err == nil || !strings.Contains(err.Error(), "is not offered") {
			t.Errorf("%#04x: %v", bad, err)
		}
	}
}

// TestBothKindsOfKey: ECDSA and RSA side by side, each for those who take it.
func TestBothKindsOfKey(t *testing.T) {
	root := pki.NewAuthority(t, "Root")
	names := []string{"pacs.example"}
	served := func(s pki.Spec) model.Certificate {
		i := root.Issue(t, s)
		return model.Certificate{Name: "imaging/tls", CertPEM: i.Chain, KeyPEM: i.KeyPEM(t)}
	}
	r := tlsRig(t, echo, served(pki.Spec{Names: names, RSA: 2048}), served(pki.Spec{Names: names})).apply()
	for _, sni := range []string{"pacs.example", "other.example"} {
		cfg := with(nil, tls.VersionTLS12)
		cfg.ServerName, cfg.CipherSuites = sni, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		if state, err := ask(t, r.addr(), cfg); err != nil || state.PeerCertificates[0].PublicKeyAlgorithm != x509.RSA {
			t.Errorf("%s with RSA only: %v", sni, err)
		}
	}
	cfg := with(nil, tls.VersionTLS13)
	cfg.ServerName = "pacs.example"
	if state, err := ask(t, r.addr(), cfg); err != nil || state.PeerCertificates[0].PublicKeyAlgorithm != x509.ECDSA {
		t.Errorf("with both: %v, %v", state.PeerCertificates, err)
	}
}

// TestOpenSSLAsClient: the same seen by another implementation: client certificates, cipher suites and sessions.
func TestOpenSSLAsClient(t *testing.T) {
	root := pki.NewAuthority(t, "Root")
	client := root.Issue(t, pki.Spec{CommonName: "viewer"})
	server := root.Issue(t, pki.Spec{Names: []string{"pacs.example"}})
	r := tlsRig(t, echo, model.Certificate{Name: "imaging/tls", CertPEM: server.Chain, KeyPEM: server.KeyPEM(t)})
	crl := bundle(root.CRL(t, time.Now().Add(time.Hour)))
	r.web().TLS.Clients = &model.ClientCertificates{Required: true, CA: bundle(root.PEM()), CRL: &crl}
	r.web().TLS.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
	r.apply()
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca, crt, key := file("ca", root.PEM()), file("crt", client.PEM()), file("key", client.KeyPEM(t))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	run := func(args ...string) string {
		cmd := exec.CommandContext(ctx, "openssl", append([]string{"s_client", "-connect", r.addr(), "-servername", "pacs.example", "-verify_return_error", "-verify_hostname", "pacs.example", "-CAfile", ca, "-ign_eof"}, args...)...)
		cmd.Stdin = strings.NewReader("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		kept := filepath.Join(dir, "session"+version)
		if out := run(version); strings.Contains(out, "HTTP/1.1 200 OK") || !strings.Contains(out, "alert") {
			t.Errorf("%s without a certificate:\n%s", version, out)
		}
		out := run(version, "-cert", crt, "-key", key, "-sess_out", kept)
		if !strings.Contains(out, "HTTP/1.1 200 OK") || !strings.Contains(out, "Verification: OK") || !strings.Contains(out, "New, TLS") {
			t.Errorf("%s with a certificate:\n%s", version, out)
		}
		if version == "-tls1_2" && !strings.Contains(out, "ECDHE-ECDSA-CHACHA20-POLY1305") {
			t.Errorf("another cipher suite:\n%s", out)
		}
		if out := run(version, "-cert", crt, "-key", key, "-sess_in", kept); !strings.Contains(out, "HTTP/1.1 200 OK") || !strings.Contains(out, "Reused, TLS") {
			t.Errorf("%s taken up again:\n%s", version, out)
		}
	}
}
