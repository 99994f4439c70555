package certs

import (
	"crypto/x509"
	"time"
)

// Kind is what an Element is.
type Kind string

// Kinds.
const (
	Certificate    Kind = "Certificate"
	Intermediate   Kind = "Intermediate"
	Authority      Kind = "Authority"
	RevocationList Kind = "RevocationList"
)

// Element is something in use that expires.
type Element struct {
	// Source is where it came from: namespace/secret.
	Source string
	Kind   Kind
	// Position counts elements of a kind and source from 0.
	Position int
	// Subject is the certificate's first name, of a revocation list its issuer's.
	Subject string
	// NotBefore and NotAfter are its time; of a revocation list from its issue to its next update.
	NotBefore, NotAfter time.Time
}

// Stage is how close an Element is to its end.
type Stage int

// Stages, from good to bad.
const (
	Fine Stage = iota
	// Soon: within 30 days.
	Soon
	// Urgent: within 7 days.
	Urgent
	// Expired: over.
	Expired
)

const (
	soon   = 30 * 24 * time.Hour
	urgent = 7 * 24 * time.Hour
)

// Stage tells how close the end is. What lives for less than 100 days is renewed when less is left:
// it is Soon in the last three tenths of its life and Urgent in the last tenth, if that comes later.
// So a certificate for 90 days that is renewed when 30 are left is never Soon.
func (e Element) Stage(now time.Time) Stage {
	left, life := e.NotAfter.Sub(now), e.NotAfter.Sub(e.NotBefore)
	switch {
	case now.IsZero():
		return Fine
	case left < 0:
		return Expired
	case left < min(urgent, life/10):
		return Urgent
	case left < min(soon, life/10*3):
		return Soon
	}
	return Fine
}

// Elements are the leaf and the rest of the chain.
func (p *Pair) Elements() []Element {
	out := make([]Element, 0, len(p.chain))
	for i, c := range p.chain {
		kind, position := Intermediate, i-1
		if i == 0 {
			kind, position = Certificate, 0
		}
		out = append(out, elementOf(p.model.Name, kind, position, c))
	}
	return out
}

func elementOf(source string, kind Kind, position int, c *x509.Certificate) Element {
	return Element{Source: source, Kind: kind, Position: position, Subject: subject(c), NotBefore: c.NotBefore, NotAfter: c.NotAfter}
}
