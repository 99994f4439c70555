package http2_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/http2"
)

// certificate makes a certificate that nobody trusts.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"pacs.example.org"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// h2spec finds the pinned program: by environment variable, else in .cache/bin.
func h2spec(t *testing.T) string {
	t.Helper()
	path := os.Getenv("H2SPEC")
	if path == "" {
		path = filepath.Join("..", "..", ".cache", "bin", "h2spec")
	}
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("h2spec is missing: build it into .cache/bin (make tools) or set H2SPEC: %v", err)
	}
	return path
}

// TestH2spec lets h2spec judge a server with TLS, strict tests included.
func TestH2spec(t *testing.T) {
	program := h2spec(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate(t)}, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	defer wait.Wait()
	defer l.Close()
	wait.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wait.Go(func() { serve(conn, http2.Config{}, &answers{}) })
		}
	})
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), program, "-S", "-t", "-k", "-o", "30", "-p", port, "-P", "/1000").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "146 tests, 146 passed, 0 skipped, 0 failed") {
		t.Errorf("h2spec: %v\n%s", err, out)
	}
}
