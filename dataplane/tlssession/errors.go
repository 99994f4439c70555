package tlssession

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
)

// Reason is why a session ended, from a closed set: fit for a metric's label.
type Reason string

// Reasons.
const (
	NotTLS              Reason = "not_tls"              // the first byte begins no TLS session
	Truncated           Reason = "truncated"            // the stream ended without close_notify
	ClosedInHandshake   Reason = "closed_in_handshake"  // the peer left before the handshake was over
	Version             Reason = "version"              // no common protocol version
	Cipher              Reason = "cipher"               // no common cipher suite, curve or signature scheme
	ALPN                Reason = "alpn"                 // no common application protocol
	UnknownCA           Reason = "unknown_ca"           // a certificate's issuer is not trusted
	Expired             Reason = "certificate_expired"  // a certificate is expired or not yet valid
	Revoked             Reason = "certificate_revoked"  // a certificate is revoked
	WrongName           Reason = "certificate_name"     // a certificate is for another name
	BadCertificate      Reason = "certificate_bad"      // a certificate is refused for another reason
	CertificateRequired Reason = "certificate_required" // the client sent no certificate
	NoCertificate       Reason = "no_certificate"       // nothing answers for the name asked for
	Renegotiation       Reason = "renegotiation"        // the peer asked for a renegotiation
	Flood               Reason = "flood"                // the peer asks for answers and takes none
	Protocol            Reason = "protocol"             // broken or forged records or messages
	Refused             Reason = "refused"              // the peer refused for a reason of its own
	Internal            Reason = "internal"             // this side failed
)

// Error is how a session ended. It holds no plaintext and no key.
type Error struct {
	// Reason is the kind.
	Reason Reason
	// Peer tells that the peer refused, by the alert below; else this side did.
	Peer bool
	// Alert is the peer's or our alert (RFC 8446 6.2) if crypto/tls tells it; 0: none.
	Alert tls.AlertError
	// Err is the cause as crypto/tls words it.
	Err error
}

// Error implements error: what happened and what to do about it.
func (e *Error) Error() string {
	text := advice[e.Reason]
	if e.Peer {
		text = peerAdvice(e.Reason)
	}
	if e.Err == nil {
		return "TLS: " + text
	}
	return "TLS: " + text + " (" + strings.TrimPrefix(e.Err.Error(), "tls: ") + ")"
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

var advice = map[Reason]string{
	NotTLS:              "the peer does not speak TLS: check that it is set to TLS and to the right port",
	Truncated:           "the connection ended without close_notify: data may be missing; look for a crash of the peer or a firewall that cuts connections",
	ClosedInHandshake:   "the peer closed the connection during the handshake: it may not accept this certificate, version or cipher and not say so; look in its log",
	Version:             "no TLS version in common: allow TLS 1.2 on the peer, or lower minVersion here",
	Cipher:              "no cipher suite, curve or signature scheme in common: update the peer, or give a certificate with a key it supports (RSA beside ECDSA)",
	ALPN:                "no application protocol in common (ALPN): the peer asks for another protocol than this port speaks",
	UnknownCA:           "the peer's certificate is of an authority that is not trusted here: add the CA that issued it",
	Expired:             "a certificate of the peer is expired or not yet valid: renew it, or set the clocks",
	Revoked:             "the peer's certificate is revoked: give it a new one",
	WrongName:           "the peer's certificate is for another name: correct serverName, or have the certificate issued with this name",
	BadCertificate:      "the peer's certificate is refused",
	CertificateRequired: "the client sent no certificate, but one is required here: install a client certificate on it",
	NoCertificate:       "no certificate answers for the name that the client asked for: add one with this name",
	Renegotiation:       "the peer asked for a renegotiation, which is not supported: turn it off on the peer",
	Flood:               "the peer sends requests for new keys faster than it takes the answers",
	Protocol:            "the peer broke the protocol: look for a device on the way that changes traffic, or a faulty TLS program",
	Refused:             "the session was refused",
	Internal:            "this side failed",
}

// peerAdvice is for what the peer says of us.
func peerAdvice(r Reason) string {
	switch r {
	case Version:
		return "the peer refuses our TLS versions: lower minVersion here, or allow TLS 1.2 on the peer"
	case Cipher:
		return "the peer finds no cipher suite, curve or signature scheme in common: update the peer, or give a certificate with a key it supports"
	case UnknownCA:
		return "the peer does not trust the authority of our certificate: install the CA on it, and serve the intermediate certificates"
	case Expired:
		return "the peer says that our certificate is expired: renew it, or set the peer's clock"
	case Revoked:
		return "the peer says that our certificate is revoked: have a new one issued"
	case BadCertificate:
		return "the peer refuses our certificate: check its names, key usage and chain; the peer's log says more"
	case CertificateRequired:
		return "the peer requires a client certificate: configure one for it"
	case NoCertificate:
		return "the peer has no certificate for the name we asked for: correct serverName"
	case ALPN:
		return "the peer does not speak the application protocol that we ask for (ALPN)"
	case Protocol:
		return "the peer says that we broke the protocol: look for a device on the way that changes traffic"
	case Internal:
		return "the peer failed: look in its log"
	}
	return "the peer refused the session: look in its log"
}

// alerts maps the alerts of RFC 8446 6.2 and its forerunners.
var alerts = map[tls.AlertError]Reason{
	10: Protocol, 20: Protocol, 21: Protocol, 22: Protocol, 30: Protocol,
	40: Cipher, 42: BadCertificate, 43: BadCertificate, 44: Revoked, 45: Expired, 46: BadCertificate,
	47: Protocol, 48: UnknownCA, 49: Refused, 50: Protocol, 51: Protocol, 60: Cipher, 70: Version,
	71: Cipher, 80: Internal, 86: Version, 90: Refused, 100: Renegotiation, 109: Protocol,
	110: Protocol, 111: BadCertificate, 112: NoCertificate, 113: BadCertificate,
	114: BadCertificate, 115: Refused, 116: CertificateRequired, 120: ALPN, 121: Refused,
}

// phrases are how crypto/tls words errors of this side that have no type; the first that fits.
var phrases = []struct {
	text   string
	reason Reason
}{
	{"clientHelloMsg when waiting for *tls.helloRequestMsg", Renegotiation},
	{"unsupported versions", Version},
	{"unsupported protocol version", Version},
	{"inappropriate protocol fallback", Version},
	{"legacy version field", Version},
	{"with version", Version},
	{"downgrade attempt", Version},
	{"no cipher suite", Cipher},
	{"no key exchanges", Cipher},
	{"no supported elliptic curves", Cipher},
	{"signature algorithms", Cipher},
	{"with the selected cipher suite", Cipher},
	{"unconfigured cipher suite", Cipher},
	{"didn't provide a certificate", CertificateRequired},
	{"application protocol", ALPN},
	{"ALPN", ALPN},
	{"no certificate", NoCertificate},
	{"client certificate", BadCertificate},
	{"certificate from server", BadCertificate},
	{"server certificate", BadCertificate},
	{"RSA key larger", BadCertificate},
	{"internal error", Internal},
	{"failed to sign", Internal},
}

// explain turns an error of crypto/tls into an *Error. ErrClosed stays.
func explain(err error) error {
	var e *Error
	var op *net.OpError
	var cert *tls.CertificateVerificationError
	switch {
	case err == ErrClosed || errors.As(err, &e) && e == err:
		return err
	case e != nil:
		return &Error{Reason: e.Reason, Peer: e.Peer, Alert: e.Alert, Err: e.Err}
	case err == errCut || err == io.EOF:
		return &Error{Reason: ClosedInHandshake}
	case errors.As(err, &op):
		return alertError(op)
	case errors.As(err, &cert):
		return &Error{Reason: certificateReason(cert.Err), Err: err}
	}
	if r := reasonOf(err); r != "" {
		return &Error{Reason: r, Err: err}
	}
	for _, p := range phrases {
		if strings.Contains(err.Error(), p.text) {
			return &Error{Reason: p.reason, Err: err}
		}
	}
	return &Error{Reason: Protocol, Err: err}
}

// alertError reads crypto/tls's "remote error" and "local error". Their alerts are of a type that
// is not exported, with the text of tls.AlertError.
func alertError(op *net.OpError) error {
	e := &Error{Reason: Refused, Peer: op.Op == "remote error", Err: op.Err}
	for alert, reason := range alerts {
		if alert.Error() == op.Err.Error() {
			e.Alert, e.Reason = alert, reason
		}
	}
	return e
}

// reasonOf asks an error of a callback: one of x509, or one that names its own Reason by a method
// TLSReason.
func reasonOf(err error) Reason {
	var own interface{ TLSReason() string }
	if errors.As(err, &own) && advice[Reason(own.TLSReason())] != "" {
		return Reason(own.TLSReason())
	}
	if r := certificateReason(err); r != BadCertificate {
		return r
	}
	return ""
}

func certificateReason(err error) Reason {
	var invalid x509.CertificateInvalidError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err, &authority):
		return UnknownCA
	case errors.As(err, &name):
		return WrongName
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return Expired
	}
	return BadCertificate
}
