package certs

import (
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
)

// Selector chooses the certificate of a handshake. It is immutable and safe for any number of
// goroutines.
type Selector struct {
	all    []*tls.Certificate
	byName map[string][]*tls.Certificate // lower case; wildcards with their asterisk
}

// NewSelector indexes pairs. The order is that of the configuration: the first serves clients that
// ask for no name or one that no certificate has.
func NewSelector(pairs []*Pair) *Selector {
	s := &Selector{byName: map[string][]*tls.Certificate{}}
	for _, p := range pairs {
		s.all = append(s.all, &p.tls)
		for _, name := range p.chain[0].DNSNames {
			key := strings.ToLower(name)
			s.byName[key] = append(s.byName[key], &p.tls)
		}
	}
	for _, list := range s.byName {
		slices.SortStableFunc(list, cheaperFirst)
	}
	return s
}

// cheaperFirst: where a client takes both, an elliptic curve costs a tenth of RSA.
func cheaperFirst(a, b *tls.Certificate) int {
	_, aRSA := a.Leaf.PublicKey.(*rsa.PublicKey)
	_, bRSA := b.Leaf.PublicKey.(*rsa.PublicKey)
	switch {
	case aRSA == bRSA:
		return 0
	case aRSA:
		return 1
	}
	return -1
}

// errNoPair cannot happen with a validated configuration.
var errNoPair = errors.New("no certificate is configured")

// Select is tls.Config.GetCertificate: an exact name before a wildcard for its first label (RFC
// 9525 6.3), and of those the first with a key that the client supports.
func (s *Selector) Select(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if len(s.all) == 0 {
		return nil, errNoPair
	}
	anyName := *hello
	anyName.ServerName = "" // which certificates have the name is known here
	name := strings.ToLower(hello.ServerName)
	_, domain, _ := strings.Cut(name, ".")
	for _, list := range [][]*tls.Certificate{s.byName[name], s.byName["*."+domain], s.all} {
		for _, c := range list {
			if anyName.SupportsCertificate(c) == nil {
				return c, nil
			}
		}
	}
	return s.all[0], nil // crypto/tls says what does not fit
}
