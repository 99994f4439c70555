package l7

import (
	"cmp"
	"crypto/tls"
	"slices"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/tlssession"
)

// tlsConfig compiles a listener's TLS; nil if it has none. The server name chooses among the certificates, and the
// kind of key that the client supports; the first serves the rest.
func tlsConfig(l model.Listener) (*tlssession.Config, error) {
	if l.TLS == nil {
		return nil, nil
	}
	c := &tls.Config{MinVersion: cmp.Or(l.TLS.MinVersion, tls.VersionTLS12)}
	if l.Application == model.HTTP {
		c.NextProtos = []string{"h2", "http/1.1"}
	}
	for _, m := range l.TLS.Certificates {
		pair, err := tls.X509KeyPair(m.CertPEM, m.KeyPEM)
		if err != nil {
			return nil, refuse(l.Name, "certificate %q cannot be used (%w): give a PEM chain, leaf first, with its private key", m.Name, err)
		}
		c.Certificates = append(c.Certificates, pair)
	}
	return tlssession.Prepare(c), nil
}

// cloneTLS copies what a later configuration is compared with: the caller may change its own.
func cloneTLS(m *model.TLS) *model.TLS {
	if m == nil {
		return nil
	}
	c := model.TLS{MinVersion: m.MinVersion}
	for _, pair := range m.Certificates {
		pair.CertPEM, pair.KeyPEM = slices.Clone(pair.CertPEM), slices.Clone(pair.KeyPEM)
		c.Certificates = append(c.Certificates, pair)
	}
	return &c
}
