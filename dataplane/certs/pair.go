package certs

import (
	"bytes"
	"cmp"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/truepacs/balancer/dataplane/model"
)

const (
	// maxChain bounds a chain; real ones have two or three certificates.
	maxChain = 10
	// maxChainBytes bounds the text of a chain. A handshake sends all of it.
	maxChainBytes = 128 << 10
	// minRSABits is what clients accept (CA/Browser Forum baseline requirements 6.1.5).
	minRSABits = 2048
)

// Pair is a certificate chain with its private key that can be served. It is immutable.
type Pair struct {
	model model.Certificate
	tls   tls.Certificate
	chain []*x509.Certificate // leaf first
}

// Parse reads a chain, leaf first, with its key, both PEM encoded. The error says what keeps it
// from being served.
func Parse(m model.Certificate) (*Pair, error) {
	chain, err := parseChain(m.CertPEM)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(m.CertPEM, m.KeyPEM)
	if err != nil {
		return nil, unusable(chain, m, err)
	}
	return &Pair{model: m, tls: pair, chain: chain}, nil
}

func parseChain(text []byte) ([]*x509.Certificate, error) {
	if len(text) > maxChainBytes {
		return nil, fmt.Errorf("has a chain of %d bytes in tls.crt, more than %d: leave out what is not of its chain", len(text), maxChainBytes)
	}
	chain, err := parseCertificates(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("has a tls.crt that cannot be read (%w): put a PEM encoded certificate chain there, leaf first", err)
	case len(chain) == 0:
		return nil, errors.New("has no certificate in tls.crt: put a PEM encoded certificate chain there, leaf first")
	case len(chain) > maxChain:
		return nil, fmt.Errorf("has %d certificates in tls.crt, more than %d: leave out what is not of its chain", len(chain), maxChain)
	}
	return chain, nil
}

// parseCertificates reads the PEM blocks of type CERTIFICATE.
func parseCertificates(text []byte) (out []*x509.Certificate, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(out)+1, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// unusable says what is wrong with a key, and names the commonest mistake, a chain in the wrong order.
func unusable(chain []*x509.Certificate, m model.Certificate, err error) error {
	for i, c := range chain[1:] {
		leaf := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
		if _, err := tls.X509KeyPair(leaf, m.KeyPEM); err == nil {
			return fmt.Errorf("has its own certificate as number %d of the chain in tls.crt: write it first, then the intermediate ones", i+2)
		}
	}
	return fmt.Errorf("has a tls.crt and a tls.key that cannot be used together (%w): put the private key there that belongs to the certificate", err)
}

// Name is where the pair came from.
func (p *Pair) Name() string { return p.model.Name }

// Model is what the pair was read from.
func (p *Pair) Model() model.Certificate { return p.model }

// TLS is the pair as crypto/tls takes it.
func (p *Pair) TLS() *tls.Certificate { return &p.tls }

// Covers tells whether clients that ask for a name accept the certificate: a host name, an
// address, or a wildcard, which only the same wildcard covers.
func (p *Pair) Covers(name string) bool {
	if strings.HasPrefix(name, "*.") {
		return slices.ContainsFunc(p.chain[0].DNSNames, func(n string) bool { return strings.EqualFold(n, name) })
	}
	return p.chain[0].VerifyHostname(name) == nil
}

// Names are the names and addresses that the certificate is for (RFC 5280 4.2.1.6).
func (p *Pair) Names() []string {
	out := slices.Clone(p.chain[0].DNSNames)
	for _, ip := range p.chain[0].IPAddresses {
		out = append(out, ip.String())
	}
	return out
}

// same tells whether two pairs have the same chain.
func (p *Pair) same(other *Pair) bool { return bytes.Equal(p.model.CertPEM, other.model.CertPEM) }

// grade is how much a flaw harms clients.
type grade int

const (
	awkward grade = iota + 1 // some clients refuse
	broken                   // many do
	outside                  // outside of its time: all warn
	foreign                  // for other names
)

// Flaw is what is wrong with a pair that can be served all the same.
type Flaw struct {
	grade grade
	// Expired says that it is about the end of the certificate or of one in its chain, which Elements
	// tell as well.
	Expired bool
	// Message says what is wrong and what to do.
	Message string
}

// Flaws are what clients will object to, the gravest first. With now zero, time does not count.
func (p *Pair) Flaws(now time.Time) []Flaw {
	var out []Flaw
	for _, check := range []func(time.Time) *Flaw{p.untimely, p.chainUntimely, p.unchained, p.nameless, p.otherUse, p.weak} {
		if f := check(now); f != nil {
			out = append(out, *f)
		}
	}
	slices.SortStableFunc(out, func(a, b Flaw) int { return cmp.Compare(b.grade, a.grade) })
	return out
}

// Date is how messages show a time.
func Date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

func (p *Pair) untimely(now time.Time) *Flaw {
	leaf := p.chain[0]
	switch {
	case now.IsZero():
	case now.After(leaf.NotAfter):
		return &Flaw{outside, true, "expired on " + Date(leaf.NotAfter) + ", clients will warn: put a renewed certificate there"}
	case now.Before(leaf.NotBefore):
		return &Flaw{outside, false, "is not valid before " + Date(leaf.NotBefore) + ", clients will warn: check it, and the clock of the director"}
	}
	return nil
}

func (p *Pair) chainUntimely(now time.Time) *Flaw {
	for _, c := range p.chain[1:] {
		if !now.IsZero() && (now.After(c.NotAfter) || now.Before(c.NotBefore)) {
			return &Flaw{broken, now.After(c.NotAfter), fmt.Sprintf("has the intermediate certificate %q in its chain, which is valid from %s to %s: replace it by the one that the issuer gives out now",
				subject(c), Date(c.NotBefore), Date(c.NotAfter))}
		}
	}
	return nil
}

func (p *Pair) unchained(time.Time) *Flaw {
	for i, c := range p.chain[1:] {
		if err := p.chain[i].CheckSignatureFrom(c); err != nil {
			return &Flaw{broken, false, fmt.Sprintf("has a chain that does not hold: certificate %d (%q) is not signed by certificate %d (%q): write the leaf first, then each one's issuer",
				i+1, subject(p.chain[i]), i+2, subject(c))}
		}
	}
	return nil
}

func (p *Pair) nameless(time.Time) *Flaw {
	if len(p.Names()) > 0 {
		return nil
	}
	return &Flaw{awkward, false, "has no subject alternative name, which browsers refuse: have it issued with the names that clients use"}
}

func (p *Pair) otherUse(time.Time) *Flaw {
	use := p.chain[0].ExtKeyUsage
	if len(use) == 0 && len(p.chain[0].UnknownExtKeyUsage) == 0 ||
		slices.Contains(use, x509.ExtKeyUsageServerAuth) || slices.Contains(use, x509.ExtKeyUsageAny) {
		return nil
	}
	return &Flaw{broken, false, "is not issued for servers (extended key usage serverAuth is missing): have it issued for a TLS server"}
}

func (p *Pair) weak(time.Time) *Flaw {
	if key, ok := p.chain[0].PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < minRSABits {
		return &Flaw{awkward, false, fmt.Sprintf("has an RSA key of %d bits, which clients refuse: have it issued with %d bits or ECDSA P-256", key.N.BitLen(), minRSABits)}
	}
	return nil
}

// subject names a certificate for people: printable and short.
func subject(c *x509.Certificate) string {
	name := c.Subject.CommonName
	if len(c.DNSNames) > 0 {
		name = c.DNSNames[0]
	}
	return printable(cmp.Or(name, c.Subject.String()))
}

const maxSubject = 128

func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if runes := []rune(text); len(runes) > maxSubject {
		text = string(runes[:maxSubject-1]) + "…"
	}
	return text
}
