package certs

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/truepacs/balancer/dataplane/model"
)

// MaxBundle bounds the text of a bundle of authorities or revocation lists, in bytes: some 7,000
// revoked certificates.
const MaxBundle = 256 << 10

// maxAuthorities bounds a bundle.
const maxAuthorities = 64

// Authorities say whose client certificates are accepted. They are immutable and safe for any
// number of goroutines.
type Authorities struct {
	source, listSource string
	certs              []*x509.Certificate
	lists              map[issuer]*list // nil: revocation is not asked for
}

// ParseAuthorities reads a bundle of authorities and, if lists is not nil, the revocation lists of
// them (RFC 5280 section 5), PEM encoded or one in DER.
func ParseAuthorities(ca model.Bundle, lists *model.Bundle) (*Authorities, error) {
	a, err := parseAuthorities(ca)
	if err != nil || lists == nil {
		return a, err
	}
	return a.withLists(*lists)
}

func parseAuthorities(ca model.Bundle) (*Authorities, error) {
	if len(ca.Data) > MaxBundle {
		return nil, fmt.Errorf("has %d bytes of authorities, more than %d: leave out those that issue no client certificates", len(ca.Data), MaxBundle)
	}
	list, err := parseCertificates(ca.Data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("has authorities that cannot be read (%w): put the PEM encoded certificates of the authorities there", err)
	case len(list) == 0:
		return nil, errors.New("has no certificate of an authority: put the PEM encoded certificates of the authorities there that issue the clients' certificates")
	case len(list) > maxAuthorities:
		return nil, fmt.Errorf("has %d authorities, more than %d: leave out those that issue no client certificates", len(list), maxAuthorities)
	}
	for i, c := range list {
		if !c.BasicConstraintsValid || !c.IsCA {
			return nil, fmt.Errorf("has certificate %d (%q), which is not an authority's: put the certificates of those there that issue the clients' certificates", i+1, subject(c))
		}
	}
	return &Authorities{source: ca.Name, certs: list}, nil
}

// withLists returns the authorities with their revocation lists.
func (a *Authorities) withLists(b model.Bundle) (*Authorities, error) {
	if len(b.Data) > MaxBundle {
		return nil, fmt.Errorf("has %d bytes of revocation lists, more than %d: have the authority leave out certificates that are expired", len(b.Data), MaxBundle)
	}
	out := &Authorities{source: a.source, listSource: b.Name, certs: a.certs, lists: map[issuer]*list{}}
	all, err := parseLists(b.Data)
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		if err := out.addList(l); err != nil {
			return nil, err
		}
	}
	if !slices.ContainsFunc(out.certs, func(c *x509.Certificate) bool { return !out.revokesAuthority(c) }) {
		return nil, errors.New("revokes every authority there is: put an authority that is good beside them")
	}
	return out, nil
}

func parseLists(text []byte) (out []*x509.RevocationList, err error) {
	var ders [][]byte
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "X509 CRL" {
			ders = append(ders, block.Bytes)
		}
	}
	if len(ders) == 0 && len(text) > 0 && text[0] == 0x30 { // a SEQUENCE: DER
		ders = [][]byte{text}
	}
	if len(ders) == 0 {
		return nil, errors.New("has no revocation list: put one there, PEM encoded (BEGIN X509 CRL) or in DER")
	}
	for i, der := range ders {
		l, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, fmt.Errorf("has revocation list %d, which cannot be read (%w): fetch it again from the authority", i+1, err)
		}
		out = append(out, l)
	}
	return out, nil
}

// Pool is what crypto/tls verifies against: the authorities that are not revoked themselves.
func (a *Authorities) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range a.certs {
		if !a.revokesAuthority(c) {
			pool.AddCert(c)
		}
	}
	return pool
}

// revokesAuthority tells whether an authority is on the list of another one in the bundle.
func (a *Authorities) revokesAuthority(c *x509.Certificate) bool {
	for _, by := range a.certs {
		l := a.lists[issuerOf(by)]
		if l != nil && l.has(c) && c.CheckSignatureFrom(by) == nil {
			return true
		}
	}
	return false
}

// Unlisted are the subjects of authorities without a revocation list although there are some:
// clients with a certificate of theirs are refused.
func (a *Authorities) Unlisted() []string {
	var out []string
	for _, c := range a.certs {
		if a.lists != nil && a.lists[issuerOf(c)] == nil {
			out = append(out, subject(c))
		}
	}
	return out
}

// Elements are the authorities and the revocation lists.
func (a *Authorities) Elements() []Element {
	var out []Element
	for i, c := range a.certs {
		out = append(out, elementOf(a.source, Authority, i, c))
	}
	n := 0
	for _, c := range a.certs {
		if l := a.lists[issuerOf(c)]; l != nil {
			out = append(out, Element{
				Source: a.listSource, Kind: RevocationList, Position: n, Subject: subject(c), NotBefore: l.issued, NotAfter: l.until,
			})
			n++
		}
	}
	return out
}

// allExpired tells whether no authority is valid any more.
func (a *Authorities) allExpired(now time.Time) bool {
	return !now.IsZero() && !slices.ContainsFunc(a.certs, func(c *x509.Certificate) bool { return !now.After(c.NotAfter) })
}

// TrustDecision says whose client certificates are accepted.
type TrustDecision struct {
	// CA and CRL are what to use; CRL is nil if none was asked for.
	CA, CRL *model.Bundle
	// Use are both; nil: they cannot be used.
	Use *Authorities
	// RefusedCA and RefusedCRL say why what was offered is not used; what was in use is, if there is.
	RefusedCA, RefusedCRL error
}

// Trust is what clients are to be verified with. CRL is nil if none is asked for, and either has no
// data if it is asked for and not there.
type Trust struct{ CA, CRL *model.Bundle }

// DecideTrust says which authorities and revocation lists are used: those offered unless they
// cannot be used or let more clients in than those in use by mistake. Without good ones Use is nil.
func DecideTrust(offer, current Trust, now time.Time) TrustDecision {
	var d TrustDecision
	d.decideCA(offer.CA, current.CA, now)
	if d.Use != nil && offer.CRL != nil {
		d.decideCRL(*offer.CRL, current.CRL, now)
	}
	return d
}

func (d *TrustDecision) decideCA(offer, current *model.Bundle, now time.Time) {
	next, err := parseAuthorities(*offer)
	var old *Authorities
	if current != nil {
		old, _ = parseAuthorities(*current) // it cannot be used any more, whatever it was
	}
	if err == nil && old != nil && next.allExpired(now) && !old.allExpired(now) {
		err = errors.New("has only expired authorities: put the ones there that are used now")
	}
	switch {
	case err == nil:
		d.CA, d.Use = offer, next
	case old != nil:
		d.CA, d.Use, d.RefusedCA = current, old, err
	default:
		d.RefusedCA = err
	}
}

func (d *TrustDecision) decideCRL(offer model.Bundle, current *model.Bundle, now time.Time) {
	next, err := d.Use.withLists(offer)
	var old *Authorities
	if current != nil {
		old, _ = d.Use.withLists(*current) // of other authorities: it is of no use any more
	}
	if err == nil && old != nil {
		err = next.staler(old, now)
	}
	switch {
	case err == nil:
		d.CRL, d.Use = &offer, next
	case old != nil:
		d.CRL, d.Use, d.RefusedCRL = current, old, err
	default:
		d.Use, d.RefusedCRL = nil, err
	}
}

// staler says why revocation lists must not take the place of others.
func (a *Authorities) staler(old *Authorities, now time.Time) error {
	for _, c := range a.certs {
		mine, its := a.lists[issuerOf(c)], old.lists[issuerOf(c)]
		switch {
		case its == nil:
		case mine == nil:
			return fmt.Errorf("lacks the revocation list of %q, which was there before: put it beside the others, or take the authority out of caRef", subject(c))
		case mine.issued.Before(its.issued):
			return fmt.Errorf("has a revocation list of %q from %s, but the one in use is from %s: put the newest there", subject(c), Date(mine.issued), Date(its.issued))
		case mine.expired(now) && !its.expired(now):
			return fmt.Errorf("has a revocation list of %q that expired on %s: put a current one there", subject(c), Date(mine.until))
		}
	}
	return nil
}
