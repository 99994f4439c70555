package web

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/peers"
	"github.com/truepacs/balancer/e2e/suite"
)

// host is what the certificate names.
const host = "pacs.example.org"

// authority is a certificate authority of the test's own, and a server's certificate of it, as a hospital's would make them.
type authority struct {
	// ca, certificate and key are PEM files.
	ca, certificate, key string
}

// web is a listener in TLS with the certificate.
func (a authority) web(name string, port uint16, servers ...netip.AddrPort) peers.Listener {
	l := web(name, port, servers...)
	l.Protocol, l.Certificate, l.Key = peers.HTTPS, a.certificate, a.key
	return l
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	now := time.Now()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Lab CA", Organization: []string{"Example Hospital"}, Country: []string{"DE"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, IPAddresses: []net.IP{net.ParseIP(vip)},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 6, 0), BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		OCSPServer: []string{"http://ocsp.example.org"}, CRLDistributionPoints: []string{"http://crl.example.org/lab.crl"},
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	suite.Must(t, err)
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	suite.Must(t, err)
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, &rootKey.PublicKey, rootKey)
	suite.Must(t, err)
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, &leafKey.PublicKey, rootKey)
	suite.Must(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	suite.Must(t, err)
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		suite.Must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return file
	}
	return authority{write("ca.pem", "CERTIFICATE", rootDER), write("tls.crt", "CERTIFICATE", leafDER), write("tls.key", "PRIVATE KEY", keyDER)}
}
