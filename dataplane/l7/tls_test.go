package l7_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/l7"
	"github.com/truepacs/balancer/dataplane/model"
)

// cert makes a self-signed certificate for names; its serial number is unique.
func cert(t *testing.T, names ...string) model.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]}}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pk, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return model.Certificate{
		Name:    names[0],
		CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pk}),
	}
}

// shown returns the common name of the certificate shown to a client that asks for a name.
func shown(t *testing.T, addr, name string) string {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: name})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func tlsRig(t *testing.T, h http.HandlerFunc, certs ...model.Certificate) *rig {
	r := newRig(t, l7.Config{}, serve(t, h))
	r.web().TLS = &model.TLS{Certificates: certs}
	return r
}

func TestTLSChoosesByServerName(t *testing.T) {
	r := tlsRig(t, echo, cert(t, "first.example"), cert(t, "pacs.example", "www.pacs.example"), cert(t, "*.wild.example")).apply()
	for name, want := range map[string]string{
		"first.example": "first.example", "pacs.example": "pacs.example", "www.pacs.example": "pacs.example",
		"a.wild.example": "*.wild.example", "a.b.wild.example": "first.example", "other.example": "first.example", "": "first.example",
	} {
		if got := shown(t, r.addr(), name); got != want {
			t.Errorf("%q is shown %s, want %s", name, got, want)
		}
	}
}

func TestTLSRequests(t *testing.T) {
	r := tlsRig(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %s %s", len(b), r.Header.Get("X-Forwarded-Proto"), r.Header.Get("Cookie"))
	}, cert(t, "pacs.example"))
	r.web().XForwardedFor = true
	r.web().Cookie = &model.Cookie{Name: "K"}
	r.apply()
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr}
	for range 3 {
		res, err := c.Post("https://"+r.addr(), "x/y", io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20))))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if string(b) != "1048576 https " || res.ProtoMajor != 1 || len(res.Cookies()) != 1 || !res.Cookies()[0].Secure {
			t.Errorf("%q %s %v", b, res.Proto, res.Cookies())
		}
	}
	if n := r.engine.Stats().Listeners[0].Total; n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestTLSVersionsAndALPN(t *testing.T) {
	r := tlsRig(t, echo, cert(t, "pacs.example"))
	r.apply()
	try := func(change func(*tls.Config)) error {
		cfg := &tls.Config{InsecureSkipVerify: true}
		change(cfg)
		c, err := tls.Dial("tcp", r.addr(), cfg)
		if err != nil {
			return err
		}
		defer c.Close()
		want := ""
		if len(cfg.NextProtos) > 0 {
			want = cfg.NextProtos[0]
		}
		if p := c.ConnectionState().NegotiatedProtocol; p != want {
			t.Errorf("protocol %s, want %s", p, want)
		}
		return nil
	}
	if try(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11; c.MinVersion = tls.VersionTLS10 }) == nil {
		t.Error("TLS 1.1 is accepted")
	}
	if err := try(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }); err != nil {
		t.Errorf("TLS 1.2: %v", err)
	}
	if try(func(c *tls.Config) { c.NextProtos = []string{"http/0.9"} }) == nil {
		t.Error("a client that wants another protocol is accepted")
	}
	for _, offered := range [][]string{{"h2", "http/1.1"}, {"h2"}, {"http/1.1"}} {
		if err := try(func(c *tls.Config) { c.NextProtos = offered }); err != nil {
			t.Errorf("%v: %v", offered, err)
		}
	}
	r.web().TLS = &model.TLS{Certificates: r.web().TLS.Certificates, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}
	r.apply()
	if c, err := tls.Dial("tcp", r.addr(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}); err != nil {
		t.Error(err)
	} else if c.Close(); c.ConnectionState().NegotiatedProtocol != "http/1.1" {
		t.Error("HTTP/2 is offered with suites that its clients refuse")
	}
	r.web().TLS = &model.TLS{Certificates: r.web().TLS.Certificates, MinVersion: tls.VersionTLS13}
	r.apply()
	if try(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }) == nil {
		t.Error("TLS 1.2 is accepted though TLS 1.3 is the least")
	}
	eventually(t, "failed handshakes are counted", func() bool { return r.engine.Stats().Listeners[0].Handshakes == 3 })
}

// New certificates count from the next handshake, open connections go on.
func TestTLSReplacedUnderOpenConnections(t *testing.T) {
	r := tlsRig(t, echo, cert(t, "old.example")).apply()
	open, err := tls.Dial("tcp", r.addr(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	c := &raw{t, open, newReader(open)}
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response("GET")
	r.web().TLS = &model.TLS{Certificates: []model.Certificate{cert(t, "new.example")}}
	r.apply()
	if got := shown(t, r.addr(), ""); got != "new.example" {
		t.Errorf("shown %s", got)
	}
	if res, _ := c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response("GET"); res.StatusCode != 200 {
		t.Errorf("open connection: %d", res.StatusCode)
	}
	r.web().TLS = &model.TLS{Certificates: []model.Certificate{{Name: "broken"}}}
	if r.engine.Apply(r.proxy, r.sockets) == nil {
		t.Fatal("a broken certificate is accepted")
	}
	if got := shown(t, r.addr(), ""); got != "new.example" {
		t.Errorf("after a refused certificate shown %s", got)
	}
}

func TestTLSForTCP(t *testing.T) {
	r := newRig(t, l7.Config{}, echoTCP(t))
	r.web().Application = model.TCPStream
	r.web().TLS = &model.TLS{Certificates: []model.Certificate{cert(t, "pacs.example")}}
	r.apply()
	c, err := tls.Dial("tcp", r.addr(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "ping")
	c.CloseWrite()
	if b, err := io.ReadAll(c); err != nil || string(b) != "pingEND" {
		t.Errorf("%q %v", b, err)
	}
}

// The server's end is passed on by close_notify, and leaves the client's direction open.
func TestTLSForTCPServerEndsFirst(t *testing.T) {
	got := make(chan string, 1)
	r := newRig(t, l7.Config{}, scripted(t, func(c net.Conn, rd *bufio.Reader) {
		io.WriteString(c, "banner")
		c.(*net.TCPConn).CloseWrite()
		b, _ := io.ReadAll(rd)
		got <- string(b)
	}))
	r.web().Application = model.TCPStream
	r.web().TLS = &model.TLS{Certificates: []model.Certificate{cert(t, "pacs.example")}}
	r.apply()
	seen := &recorded{Conn: dialRaw(t, r.addr()).Conn}
	c := tls.Client(seen, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}) // whose alerts can be told from data
	if b, err := io.ReadAll(c); err != nil || string(b) != "banner" {
		t.Fatalf("%q %v", b, err)
	}
	if types := recordTypes(seen.bytes); types[len(types)-1] != 21 {
		t.Errorf("the records are of types %v, want an alert (21) at the end: crypto/tls takes a cut stream for complete", types)
	}
	io.WriteString(c, "still here")
	c.CloseWrite()
	if b := <-got; b != "still here" {
		t.Errorf("server got %q", b)
	}
}

// recorded keeps what was read.
type recorded struct {
	net.Conn
	bytes []byte
}

func (r *recorded) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.bytes = append(r.bytes, p[:n]...)
	return n, err
}

// recordTypes are the content types of TLS records (RFC 8446 5.1).
func recordTypes(b []byte) (types []byte) {
	for len(b) >= 5 {
		types = append(types, b[0])
		b = b[min(len(b), 5+int(b[3])<<8+int(b[4])):]
	}
	return types
}

// OpenSSL as another TLS client.
func TestOpenSSL(t *testing.T) {
	r := tlsRig(t, echo, cert(t, "first.example"), cert(t, "pacs.example")).apply()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		cmd := exec.CommandContext(ctx, "openssl", "s_client", "-quiet", "-connect", r.addr(), "-servername", "pacs.example", "-alpn", "http/1.1", version)
		cmd.Stdin = strings.NewReader("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), "HTTP/1.1 200 OK") || !strings.Contains(string(out), "CN = pacs.example") {
			t.Errorf("%s: %v\n%s", version, err, out)
		}
	}
}

// The private key is in no message, however the configuration is printed.
func TestCertificateNeverPrintsItsKey(t *testing.T) {
	c := cert(t, "pacs.example")
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if s := fmt.Sprintf(format, model.TLS{Certificates: []model.Certificate{c}}); strings.Contains(s, "PRIVATE") || len(s) > 200 {
			t.Errorf("%s prints %s", format, s)
		}
	}
}

var _ net.Conn = (*raw)(nil)

// dialMaybeTLS connects, with TLS if it is wanted; nil: the connection was reset at once.
func dialMaybeTLS(addr string, secure bool) (c net.Conn) {
	var err error
	if secure {
		c, err = tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	} else {
		c, err = net.Dial("tcp", addr)
	}
	if err != nil {
		return nil
	}
	return c
}
