package tlssession_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/tlssession"
)

func basic(t *testing.T) (server, client *tls.Config) {
	server = &tls.Config{Certificates: []tls.Certificate{pki().issue(t, "ecdsa", nil)}, ClientCAs: pki().roots}
	return server, &tls.Config{RootCAs: pki().roots, ServerName: "localhost"}
}

type revoked struct{}

func (revoked) Error() string     { return "on a list" }
func (revoked) TLSReason() string { return "certificate_revoked" }

// TestReasons makes each kind of failure happen and reads what either side says of it.
func TestReasons(t *testing.T) {
	tests := map[string]struct {
		change         func(t *testing.T, server, client *tls.Config)
		server, client tlssession.Reason
	}{
		"client too old": {func(_ *testing.T, _, c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, tlssession.Version, tlssession.Version},
		"server too old": {func(_ *testing.T, s, c *tls.Config) { s.MaxVersion, c.MinVersion = tls.VersionTLS12, tls.VersionTLS13 }, tlssession.Version, tlssession.Version},
		"no shared cipher": {func(_ *testing.T, s, c *tls.Config) {
			s.MaxVersion = tls.VersionTLS12
			s.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
			c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
		}, tlssession.Cipher, tlssession.Cipher},
		"no shared curve": {func(_ *testing.T, s, c *tls.Config) {
			s.CurvePreferences, c.CurvePreferences = []tls.CurveID{tls.X25519}, []tls.CurveID{tls.CurveP256}
		}, tlssession.Cipher, tlssession.Cipher},
		"unknown CA": {func(_ *testing.T, _, c *tls.Config) { c.RootCAs = x509.NewCertPool() }, tlssession.BadCertificate, tlssession.UnknownCA},
		"wrong name": {func(_ *testing.T, _, c *tls.Config) { c.ServerName = "pacs.example.org" }, tlssession.BadCertificate, tlssession.WrongName},
		"clock is ahead": {func(_ *testing.T, _, c *tls.Config) {
			c.Time = func() time.Time { return time.Now().Add(48 * time.Hour) }
		}, tlssession.BadCertificate, tlssession.Expired},
		"no certificate for the name": {func(_ *testing.T, s, _ *tls.Config) { s.Certificates = nil }, tlssession.NoCertificate, tlssession.Internal},
		"client sends none":           {func(_ *testing.T, s, _ *tls.Config) { s.ClientAuth = tls.RequireAndVerifyClientCert }, tlssession.CertificateRequired, tlssession.CertificateRequired},
		"client's CA is unknown": {func(_ *testing.T, s, c *tls.Config) {
			s.ClientAuth, s.ClientCAs, c.Certificates = tls.RequireAndVerifyClientCert, x509.NewCertPool(), s.Certificates
		}, "", ""}, // the server's list of CAs is empty, see below
		"client's certificate is expired": {func(t *testing.T, s, c *tls.Config) {
			s.ClientAuth = tls.RequireAndVerifyClientCert
			c.Certificates = []tls.Certificate{pki().issue(t, "rsa", func(x *x509.Certificate) { x.NotAfter = time.Now().Add(-time.Minute) })}
		}, tlssession.Expired, tlssession.Expired},
		"ALPN": {func(_ *testing.T, s, c *tls.Config) {
			s.NextProtos, c.NextProtos = []string{"h2"}, []string{"dicom"}
		}, tlssession.ALPN, tlssession.ALPN},
		"a callback refuses": {func(_ *testing.T, s, _ *tls.Config) {
			s.VerifyConnection = func(tls.ConnectionState) error { return errors.New("tlssession_test: internal error") }
		}, tlssession.Internal, tlssession.BadCertificate},
		"a callback names its reason": {func(_ *testing.T, s, _ *tls.Config) {
			s.VerifyConnection = func(tls.ConnectionState) error { return revoked{} }
		}, tlssession.Revoked, tlssession.BadCertificate},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			sc, cc := basic(t)
			tc.change(t, sc, cc)
			l := newLoop(t)
			s, c := l.server(sc), l.client(cc)
			exchange(t, c, s, whole)
			if tc.server == "" { // which of the two notices is crypto/tls's business
				if s.err == nil && c.err == nil {
					t.Error("nobody refused")
				}
				return
			}
			c.send(s, whole)
			s.send(c, whole)
			if got := reasonOf(s.err); got != tc.server {
				t.Errorf("server says %q, want %q: %v", got, tc.server, s.err)
			}
			if got := reasonOf(c.err); got != tc.client {
				t.Errorf("client says %q, want %q: %v", got, tc.client, c.err)
			}
			for _, err := range []error{s.err, c.err} {
				if text := fmt.Sprint(err); !strings.HasPrefix(text, "TLS: ") || len(text) < 30 {
					t.Errorf("%q does not help", text)
				}
			}
		})
	}
}

// TestAlerts reads every alert of a peer as crypto/tls tells it.
func TestAlerts(t *testing.T) {
	for alert := range 256 {
		if alert == 0 { // close_notify
			continue
		}
		l := newLoop(t)
		s := l.server(&tls.Config{Certificates: []tls.Certificate{pki().issue(t, "ecdsa", nil)}})
		s.feed([]byte{21, 3, 1, 0, 2, 2, byte(alert)})
		var e *tlssession.Error
		if !errors.As(s.err, &e) || !e.Peer || e.Reason == "" {
			t.Fatalf("alert %d: %v", alert, s.err)
		}
		known := !strings.Contains(tls.AlertError(alert).Error(), "alert(")
		if known != (e.Alert == tls.AlertError(alert)) {
			t.Errorf("alert %d is read as %d: %v", alert, e.Alert, e)
		}
		s.Close()
	}
}

// TestNoTLS is refused at the first byte, whatever follows.
func TestNoTLS(t *testing.T) {
	tests := map[string]struct{ in, says string }{
		"HTTP":     {"GET / HTTP/1.1\r\n\r\n", "text in clear"},
		"PROXY v1": {"PROXY TCP4 ", "text in clear"},
		"PROXY v2": {"\r\n\r\n\x00\r\nQUIT\n", "PROXY protocol header, version 2"},
		"DICOM":    {"\x01\x00\x00\x00\x00\xcd", "DICOM in clear"},
		"MLLP":     {"\x0bMSH|", "HL7 over MLLP"},
		"SSL 2.0":  {"\x80\x2e\x01", "SSL 2.0"},
		"zeroes":   {"\x00\x00", "first byte is 0x0"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t)
			s := l.server(&tls.Config{Certificates: []tls.Certificate{pki().issue(t, "ecdsa", nil)}})
			err := s.Feed([]byte(tc.in[:1]))
			if reasonOf(err) != tlssession.NotTLS || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "MSH") {
				t.Errorf("%v", err)
			}
			if l.pool.most > 0 {
				t.Errorf("%d bytes were held", l.pool.most)
			}
		})
	}
}

// TestRecordHeaders are judged byte by byte before anything of a record is held.
func TestRecordHeaders(t *testing.T) {
	tests := map[string]struct {
		in    string
		after int // bytes that pass
		late  bool
	}{
		"major version":        {"\x16\x02", 1, false},
		"minor version":        {"\x16\x03\x05", 2, false},
		"length":               {"\x16\x03\x01\x48\x01", 4, false},
		"application data":     {"\x17", 0, false},
		"heartbeat, later":     {"\x18", 0, true},
		"type, later":          {"\x13", 0, true},
		"major version, later": {"\x17\x02", 1, true},
		"length, later":        {"\x17\x03\x03\xff\xff", 4, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t)
			var s *side
			if tc.late {
				s, _ = established(t, l, tls.VersionTLS13)
			} else {
				s = l.server(&tls.Config{Certificates: []tls.Certificate{pki().issue(t, "ecdsa", nil)}})
			}
			l.pool.most = l.pool.bytes
			for i := range len(tc.in) {
				s.feed([]byte{tc.in[i]})
				if (s.err != nil) != (i >= tc.after) {
					t.Fatalf("after byte %d: %v", i, s.err)
				}
			}
			if want := l.pool.most - l.pool.bytes; want > 64 {
				t.Errorf("%d bytes were held", want)
			}
		})
	}
}

// TestHeadersAloneAreCheap sends a header that promises the largest record and little of it.
func TestHeadersAloneAreCheap(t *testing.T) {
	l := newLoop(t)
	s := l.server(&tls.Config{Certificates: []tls.Certificate{pki().issue(t, "ecdsa", nil)}})
	s.feed([]byte{22, 3, 1, 0x48, 0})
	s.feed(make([]byte, 10))
	if l.pool.bytes > 64 {
		t.Errorf("%d bytes are held for 15", l.pool.bytes)
	}
}
