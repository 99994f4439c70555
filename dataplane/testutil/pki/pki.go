// Package pki makes authorities, certificates and revocation lists for tests. It imports the
// standard library only.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// Spec says what a certificate is to be like; the zero value is good for an hour.
type Spec struct {
	// Names are host names and addresses; the first is also the common name.
	Names []string
	// CommonName is it where there are no names.
	CommonName string
	// From and Until are its time. Absent: an hour ago, and in an hour.
	From, Until time.Time
	// Usage is its extended key usage. Absent: servers and clients.
	Usage []x509.ExtKeyUsage
	// RSA gives it an RSA key of so many bits; 0: ECDSA P-256.
	RSA int
}

// Issued is a certificate with its key.
type Issued struct {
	Cert *x509.Certificate
	Key  crypto.Signer
	// Chain is PEM encoded, leaf first, without the root.
	Chain []byte
}

// Authority issues certificates.
type Authority struct {
	Issued
	root bool
}

var serial atomic.Int64

// NewAuthority makes a root; Spec's first name is its name.
func NewAuthority(t testing.TB, name string) *Authority { return newAuthority(t, name, nil, Spec{}) }

// NewAuthorityUntil makes a root that expires then.
func NewAuthorityUntil(t testing.TB, name string, until time.Time) *Authority {
	return newAuthority(t, name, nil, Spec{From: until.Add(-24 * time.Hour), Until: until})
}

// Intermediate makes an authority below this one.
func (a *Authority) Intermediate(t testing.TB, name string, spec Spec) *Authority {
	return newAuthority(t, name, a, spec)
}

func newAuthority(t testing.TB, name string, parent *Authority, spec Spec) *Authority {
	t.Helper()
	spec.CommonName = name
	template := spec.template(t)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	template.ExtKeyUsage = nil
	return &Authority{Issued: sign(t, template, spec, parent), root: parent == nil}
}

// Issue makes a certificate.
func (a *Authority) Issue(t testing.TB, spec Spec) Issued {
	t.Helper()
	template := spec.template(t)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	return sign(t, template, spec, a)
}

// PEM is the authority's certificate.
func (a *Authority) PEM() []byte { return encode("CERTIFICATE", a.Cert.Raw) }

// CRL is a revocation list, PEM encoded, from an hour before until.
func (a *Authority) CRL(t testing.TB, until time.Time, revoked ...*x509.Certificate) []byte {
	t.Helper()
	return a.CRLOf(t, x509.RevocationList{ThisUpdate: until.Add(-time.Hour), NextUpdate: until}, revoked...)
}

// CRLOf signs a revocation list as it is given, but for its number and entries.
func (a *Authority) CRLOf(t testing.TB, list x509.RevocationList, revoked ...*x509.Certificate) []byte {
	t.Helper()
	list.Number = big.NewInt(serial.Add(1))
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: list.ThisUpdate})
	}
	der, err := x509.CreateRevocationList(rand.Reader, &list, a.Cert, a.Key)
	if err != nil {
		t.Fatal(err)
	}
	return encode("X509 CRL", der)
}

// KeyPEM is the private key.
func (i Issued) KeyPEM(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(i.Key)
	if err != nil {
		t.Fatal(err)
	}
	return encode("PRIVATE KEY", der)
}

// PEM is the certificate alone.
func (i Issued) PEM() []byte { return encode("CERTIFICATE", i.Cert.Raw) }

func (s Spec) template(t testing.TB) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial.Add(1)), Subject: pkix.Name{CommonName: s.CommonName},
		NotBefore: s.From, NotAfter: s.Until, ExtKeyUsage: s.Usage,
	}
	if s.From.IsZero() {
		c.NotBefore = time.Now().Add(-time.Hour)
	}
	if s.Until.IsZero() {
		c.NotAfter = time.Now().Add(time.Hour)
	}
	if s.Usage == nil {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	for _, name := range s.Names {
		if c.Subject.CommonName == "" {
			c.Subject.CommonName = name
		}
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	return c
}

// sign makes a certificate signed by parent; nil: by itself.
func sign(t testing.TB, template *x509.Certificate, spec Spec, parent *Authority) Issued {
	t.Helper()
	key := newKey(t, spec.RSA)
	by, signer := template, key
	if parent != nil {
		by, signer = parent.Cert, parent.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	out := Issued{Cert: cert, Key: key, Chain: encode("CERTIFICATE", der)}
	if parent != nil && !parent.root {
		out.Chain = append(out.Chain, parent.Chain...)
	}
	return out
}

func newKey(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	if bits > 0 {
		key, err = rsa.GenerateKey(rand.Reader, bits)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
