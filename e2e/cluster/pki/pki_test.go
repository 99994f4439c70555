package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/e2e/cluster/pki"
)

func TestIssue(t *testing.T) {
	ca, err := pki.NewCA("test")
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := pki.NewCA("test")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		leaf   pki.Leaf
		usage  x509.ExtKeyUsage
		name   string
		signer *pki.CA
		valid  bool
	}{
		"a client":                       {pki.Leaf{CommonName: "admin", Groups: []string{"system:masters"}}, x509.ExtKeyUsageClientAuth, "", ca, true},
		"a client is no server":          {pki.Leaf{CommonName: "admin"}, x509.ExtKeyUsageServerAuth, "", ca, false},
		"a server":                       {pki.Leaf{CommonName: "api", IPs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}, x509.ExtKeyUsageServerAuth, "192.0.2.1", ca, true},
		"a server at another address":    {pki.Leaf{CommonName: "api", IPs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}, x509.ExtKeyUsageServerAuth, "192.0.2.2", ca, false},
		"an authority of the same name":  {pki.Leaf{CommonName: "admin"}, x509.ExtKeyUsageClientAuth, "", stranger, false},
		"an IPv6 address and a DNS name": {pki.Leaf{CommonName: "api", Names: []string{"kubernetes"}, IPs: []netip.Addr{netip.MustParseAddr("2001:db8::1")}}, x509.ExtKeyUsageServerAuth, "kubernetes", ca, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			pair, err := tc.signer.Issue(tc.leaf)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tls.X509KeyPair(pair.Cert, pair.Key); err != nil {
				t.Fatalf("certificate and key do not match: %v", err)
			}
			block, _ := pem.Decode(pair.Cert)
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.leaf.Groups, cert.Subject.Organization); diff != "" {
				t.Errorf("groups (-want +got):\n%s", diff)
			}
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(ca.Cert)
			_, err = cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: tc.name, KeyUsages: []x509.ExtKeyUsage{tc.usage}})
			if (err == nil) != tc.valid {
				t.Errorf("verification: %v, want valid=%v", err, tc.valid)
			}
		})
	}
}
