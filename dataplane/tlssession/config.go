package tlssession

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"io"
)

// Config is a tls.Config made fit for sessions. It is immutable but for its ticket keys, and
// serves any number of loops.
type Config struct {
	tls      *tls.Config
	mayBlock bool
}

// Prepare makes a Config of a copy of c: RSA keys sign in a goroutine while the loop goes on;
// records are of 16 KiB from the start (DynamicRecordSizingDisabled), because those of one Write
// leave together; renegotiation is refused. GetCertificate, GetClientCertificate and the other
// callbacks must return at once; with GetConfigForClient handshakes run as by PrepareBlocking.
func Prepare(c *tls.Config) *Config { return prepare(c, c.GetConfigForClient != nil) }

// PrepareBlocking is Prepare for callbacks that may block: whole handshakes run in goroutines.
func PrepareBlocking(c *tls.Config) *Config { return prepare(c, true) }

// SetSessionTicketKeys changes the keys of tickets, the first makes new ones; safe at any time
// from any goroutine (tls.Config.SetSessionTicketKeys).
func (c *Config) SetSessionTicketKeys(keys [][32]byte) { c.tls.SetSessionTicketKeys(keys) }

func prepare(from *tls.Config, mayBlock bool) *Config {
	c := from.Clone()
	c.DynamicRecordSizingDisabled = true
	c.Renegotiation = tls.RenegotiateNever
	if c.ServerName == "" {
		c.ClientSessionCache = nil // it would go by the peer's address, which is not known here
	}
	if !mayBlock {
		c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			cert, err := serverCertificate(from, hello)
			return signAside(hello.Context(), cert), err
		}
		c.GetClientCertificate = func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			cert, err := clientCertificate(from, request)
			return signAside(request.Context(), cert), err
		}
		c.Certificates = nil
	}
	return &Config{tls: c, mayBlock: mayBlock}
}

// serverCertificate chooses as crypto/tls does without our hook.
func serverCertificate(c *tls.Config, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.GetCertificate != nil && (len(c.Certificates) == 0 || hello.ServerName != "") {
		if cert, err := c.GetCertificate(hello); cert != nil || err != nil {
			return cert, err
		}
	}
	if len(c.Certificates) == 0 {
		return nil, errors.New("tlssession: no certificate is configured")
	}
	for i := range c.Certificates {
		if hello.SupportsCertificate(&c.Certificates[i]) == nil {
			return &c.Certificates[i], nil
		}
	}
	return &c.Certificates[0], nil
}

func clientCertificate(c *tls.Config, request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if c.GetClientCertificate != nil {
		return c.GetClientCertificate(request)
	}
	for i := range c.Certificates {
		if request.SupportsCertificate(&c.Certificates[i]) == nil {
			return &c.Certificates[i], nil
		}
	}
	return new(tls.Certificate), nil // none is sent
}

// signAside returns cert, with a key that signs in a goroutine if signing takes long.
func signAside(ctx context.Context, cert *tls.Certificate) *tls.Certificate {
	h, ok := ctx.Value(handshakeKey{}).(*handshake)
	if cert == nil || !ok {
		return cert
	}
	signer, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return cert
	}
	if _, ok := signer.Public().(*rsa.PublicKey); !ok {
		return cert
	}
	aside := *cert
	aside.PrivateKey = &asideSigner{Signer: signer, h: h}
	return &aside
}

// asideSigner is a key that holds no loop while it signs. It does not decrypt, so that RSA key
// exchange, which has no forward secrecy, cannot be negotiated with it.
type asideSigner struct {
	crypto.Signer
	h *handshake
}

// Sign implements crypto.Signer.
func (a *asideSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	var result struct {
		signature []byte
		err       error
	}
	if !a.h.aside(func() { result.signature, result.err = a.Signer.Sign(rand, digest, opts) }) {
		return nil, ErrClosed
	}
	return result.signature, result.err
}
