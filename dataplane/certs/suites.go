package certs

import (
	"crypto/rsa"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// CipherSuite returns the number of a cipher suite of TLS 1.2 by its name in the IANA registry. Those
// without forward secrecy or with broken ciphers are refused, and those of TLS 1.3, which cannot be
// chosen.
func CipherSuite(name string) (uint16, error) {
	for _, s := range tls.CipherSuites() {
		switch {
		case s.Name != name:
		case !ofTLS12(s):
			return 0, fmt.Errorf("%s belongs to TLS 1.3, whose cipher suites are all secure and always on: take it out of the list", name)
		default:
			return s.ID, nil
		}
	}
	if slices.ContainsFunc(tls.InsecureCipherSuites(), func(s *tls.CipherSuite) bool { return s.Name == name }) {
		return 0, fmt.Errorf("%s is insecure: take it out of the list, which may hold %s", name, strings.Join(suiteNames(), ", "))
	}
	return 0, fmt.Errorf("%q is not known: use %s", printable(name), strings.Join(suiteNames(), ", "))
}

// SecureSuite tells whether CipherSuite returns this number for some name.
func SecureSuite(id uint16) bool {
	return slices.ContainsFunc(tls.CipherSuites(), func(s *tls.CipherSuite) bool { return s.ID == id && ofTLS12(s) })
}

func ofTLS12(s *tls.CipherSuite) bool { return slices.Contains(s.SupportedVersions, tls.VersionTLS12) }

// WorksWith tells whether clients with TLS 1.2 can be served with one of these cipher suites: each is for one kind of
// key (RFC 8422 2). None at all stands for all.
func (p *Pair) WorksWith(suites []uint16) bool {
	return len(suites) == 0 || slices.ContainsFunc(suites, func(id uint16) bool {
		return strings.Contains(tls.CipherSuiteName(id), "_"+p.KeyKind()+"_")
	})
}

// KeyKind is what names of cipher suites call the kind of key: RSA, or ECDSA, which stands for Ed25519 too (RFC 8422
// 5.10).
func (p *Pair) KeyKind() string {
	if _, ok := p.chain[0].PublicKey.(*rsa.PublicKey); ok {
		return "RSA"
	}
	return "ECDSA"
}

func suiteNames() (out []string) {
	for _, s := range tls.CipherSuites() {
		if ofTLS12(s) {
			out = append(out, s.Name)
		}
	}
	return out
}
