package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// issuer identifies who signed a list: name and key, since either alone may be used again.
type issuer struct{ subject, key string }

func issuerOf(c *x509.Certificate) issuer {
	return issuer{string(c.RawSubject), string(c.RawSubjectPublicKeyInfo)}
}

// list is a revocation list whose signature is good.
type list struct {
	issued, until time.Time
	revoked       map[string]bool // serial numbers, big endian
}

func (l *list) has(c *x509.Certificate) bool { return l.revoked[string(c.SerialNumber.Bytes())] }

func (l *list) expired(now time.Time) bool { return !now.IsZero() && now.After(l.until) }

// addList takes a list of one of the authorities; of two lists of one, the newer.
func (a *Authorities) addList(l *x509.RevocationList) error {
	by := a.signer(l)
	if by == nil {
		return fmt.Errorf("has a revocation list of %q that none of the authorities in caRef has signed: put the authority beside the others, or take the list out", printable(l.Issuer.String()))
	}
	if err := understood(l); err != nil {
		return fmt.Errorf("has a revocation list of %q %w", subject(by), err)
	}
	if known := a.lists[issuerOf(by)]; known != nil && known.issued.After(l.ThisUpdate) {
		return nil
	}
	read := &list{issued: l.ThisUpdate, until: l.NextUpdate, revoked: make(map[string]bool, len(l.RevokedCertificateEntries))}
	for _, e := range l.RevokedCertificateEntries {
		read.revoked[string(e.SerialNumber.Bytes())] = true
	}
	a.lists[issuerOf(by)] = read
	return nil
}

func (a *Authorities) signer(l *x509.RevocationList) *x509.Certificate {
	for _, c := range a.certs {
		if string(c.RawSubject) == string(l.RawIssuer) && l.CheckSignatureFrom(c) == nil {
			return c
		}
	}
	return nil
}

// understood refuses lists that are not complete, or say more than is understood here: by RFC 5280
// 5.2 such a list must not be used to find a certificate good.
func understood(l *x509.RevocationList) error {
	const full = "have the authority issue a full one, with the certificates of its own alone"
	if l.NextUpdate.IsZero() {
		return errors.New("without the time of its next update (RFC 5280 5.1.2.5): " + full)
	}
	for _, x := range l.Extensions {
		if x.Critical {
			return fmt.Errorf("that is a part of a list or an indirect one (critical extension %s): "+full, x.Id)
		}
	}
	for _, e := range l.RevokedCertificateEntries {
		for _, x := range e.Extensions {
			if x.Critical {
				return fmt.Errorf("with an entry that is not understood (critical extension %s): "+full, x.Id)
			}
		}
	}
	return nil
}

// RevocationError refuses a client's certificate.
type RevocationError struct {
	// Reason is certificate_revoked, or certificate_bad where that cannot be told.
	Reason string
	text   string
}

// Error implements error.
func (e *RevocationError) Error() string { return e.text }

// TLSReason says which of tlssession's reasons it is.
func (e *RevocationError) TLSReason() string { return e.Reason }

func revoked(format string, args ...any) error {
	return &RevocationError{"certificate_revoked", fmt.Sprintf(format, args...)}
}

func untold(format string, args ...any) error {
	return &RevocationError{"certificate_bad", fmt.Sprintf(format, args...)}
}

// Revoked refuses a client none of whose verified chains (tls.ConnectionState.VerifiedChains) is
// free of revoked certificates, as a *RevocationError. Every certificate below the trusted one needs a current list of
// its issuer: whoever cannot be told good is refused. No chains, no certificate: that is accepted.
func (a *Authorities) Revoked(chains [][]*x509.Certificate, now time.Time) error {
	var first error
	for _, chain := range chains {
		err := a.chainRevoked(chain, now)
		if err == nil || a.lists == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func (a *Authorities) chainRevoked(chain []*x509.Certificate, now time.Time) error {
	for i := range len(chain) - 1 {
		by := chain[i+1]
		switch l := a.lists[issuerOf(by)]; {
		case l == nil:
			return untold("there is no revocation list of %q: put it where crlRef points to", subject(by))
		case l.expired(now):
			return untold("the revocation list of %q expired on %s: put a current one where crlRef points to", subject(by), Date(l.until))
		case l.has(chain[i]):
			return revoked("certificate %x of %q is revoked", chain[i].SerialNumber, subject(by))
		}
	}
	return nil
}
