package l7

import (
	"crypto/tls"
	"slices"
	"strings"
	"time"

	"github.com/truepacs/balancer/dataplane/certs"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/tlssession"
)

// tlsConfig compiles a listener's TLS; nil if it has none. The server name chooses among the certificates, and the
// kind of key that the client supports; the first serves the rest.
func tlsConfig(l model.Listener) (*tlssession.Config, error) {
	if l.TLS == nil {
		return nil, nil
	}
	c := &tls.Config{MinVersion: max(l.TLS.MinVersion, tls.VersionTLS12), CipherSuites: slices.Clone(l.TLS.CipherSuites)}
	if l.Application == model.HTTP {
		c.NextProtos = protocols(c.CipherSuites)
	}
	var pairs []*certs.Pair
	for _, m := range l.TLS.Certificates {
		pair, err := certs.Parse(m)
		if err != nil {
			return nil, refuse(l.Name, "certificate %q %w", m.Name, err)
		}
		pairs = append(pairs, pair)
	}
	c.GetCertificate = certs.NewSelector(pairs).Select
	if l.TLS.Clients == nil {
		return tlssession.Prepare(c), nil
	}
	if err := verifyClients(c, l); err != nil {
		return nil, err
	}
	// A client's chain can be made to cost a hundred signature checks (crypto/x509): not on the loop.
	return tlssession.PrepareBlocking(c), nil
}

// protocols are what HTTP is offered in. Clients end a connection of HTTP/2 whose suite of TLS 1.2 is no AEAD (RFC 9113
// section 9.2.2), so it is not offered where only such suites are.
func protocols(suites []uint16) []string {
	aead := func(id uint16) bool {
		name := tls.CipherSuiteName(id)
		return strings.Contains(name, "_GCM_") || strings.Contains(name, "_CHACHA20_")
	}
	if len(suites) == 0 || slices.ContainsFunc(suites, aead) {
		return []string{"h2", "http/1.1"}
	}
	return []string{"http/1.1"}
}

// verifyClients makes c look at client certificates. crypto/tls verifies the chain; revocation is looked at anew when
// a session is resumed.
func verifyClients(c *tls.Config, l model.Listener) error {
	m := l.TLS.Clients
	authorities, err := certs.ParseAuthorities(m.CA, m.CRL)
	if err != nil {
		return refuse(l.Name, "the authorities of client certificates cannot be used: %s %w", bundles(m), err)
	}
	c.ClientCAs, c.ClientAuth = authorities.Pool(), tls.VerifyClientCertIfGiven
	if m.Required {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	c.VerifyConnection = func(s tls.ConnectionState) error { return authorities.Revoked(s.VerifiedChains, time.Now()) }
	return nil
}

func bundles(m *model.ClientCertificates) string {
	if m.CRL == nil || m.CRL.Name == m.CA.Name {
		return m.CA.Name
	}
	return m.CA.Name + " with " + m.CRL.Name
}

// cloneTLS copies what a later configuration is compared with: the caller may change its own.
func cloneTLS(m *model.TLS) *model.TLS {
	if m == nil {
		return nil
	}
	c := model.TLS{MinVersion: m.MinVersion, CipherSuites: slices.Clone(m.CipherSuites)}
	for _, pair := range m.Certificates {
		pair.CertPEM, pair.KeyPEM = slices.Clone(pair.CertPEM), slices.Clone(pair.KeyPEM)
		c.Certificates = append(c.Certificates, pair)
	}
	if m.Clients != nil {
		clients := *m.Clients
		clients.CA.Data = slices.Clone(clients.CA.Data)
		if clients.CRL != nil {
			crl := *clients.CRL
			crl.Data = slices.Clone(crl.Data)
			clients.CRL = &crl
		}
		c.Clients = &clients
	}
	return &c
}
