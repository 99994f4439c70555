// Package pki makes the certificates of a test cluster: one authority, and leaves it signs. Everything lives
// one day; nothing here is fit for a production cluster.
//
// It may import the standard library only.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"time"
)

// lifetime of every certificate; the backdating absorbs the clock of a machine that has just booted.
const (
	lifetime = 24 * time.Hour
	backdate = time.Hour
)

// Pair is a certificate and its private key, PEM encoded.
type Pair struct{ Cert, Key []byte }

// WriteTo stores the pair as <prefix>.crt and <prefix>.key, readable by their owner only.
func (p Pair) WriteTo(prefix string) error {
	if err := os.WriteFile(prefix+".crt", p.Cert, 0o600); err != nil {
		return err
	}
	return os.WriteFile(prefix+".key", p.Key, 0o600)
}

// CA is a certificate authority held in memory.
type CA struct {
	Pair
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Leaf says what a certificate is for. With Names or IPs it also serves TLS; every leaf may act as a client.
type Leaf struct {
	CommonName string       // the Kubernetes user name
	Groups     []string     // the Kubernetes groups
	Names      []string     // DNS names served
	IPs        []netip.Addr // addresses served
}

// NewCA makes a self-signed authority.
func NewCA(name string) (*CA, error) {
	t := template(pkix.Name{CommonName: name})
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	pair, key, der, err := sign(t, t, nil)
	if err != nil {
		return nil, fmt.Errorf("make the certificate authority %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &CA{Pair: pair, cert: cert, key: key}, nil
}

// Issue signs a new key for leaf.
func (c *CA) Issue(leaf Leaf) (Pair, error) {
	t := template(pkix.Name{CommonName: leaf.CommonName, Organization: leaf.Groups})
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(leaf.Names)+len(leaf.IPs) > 0 {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	t.DNSNames = leaf.Names
	for _, ip := range leaf.IPs {
		t.IPAddresses = append(t.IPAddresses, net.IP(ip.AsSlice()))
	}
	pair, _, _, err := sign(t, c.cert, c.key)
	if err != nil {
		return Pair{}, fmt.Errorf("issue a certificate for %s: %w", leaf.CommonName, err)
	}
	return pair, nil
}

// SigningKey makes a key pair for service account tokens: Cert holds the public key, Key the private one.
func SigningKey() (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return Pair{}, err
	}
	private, err := encodeKey(key)
	return Pair{Cert: block("PUBLIC KEY", public), Key: private}, err
}

func template(subject pkix.Name) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: subject, NotBefore: now.Add(-backdate), NotAfter: now.Add(lifetime),
	}
}

func sign(t, parent *x509.Certificate, signer *ecdsa.PrivateKey) (Pair, *ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, nil, nil, err
	}
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, signer)
	if err != nil {
		return Pair{}, nil, nil, err
	}
	keyPEM, err := encodeKey(key)
	return Pair{Cert: block("CERTIFICATE", der), Key: keyPEM}, key, der, err
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return block("EC PRIVATE KEY", der), nil
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
