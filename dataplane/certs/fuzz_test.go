package certs_test

import (
	"testing"

	"github.com/truepacs/balancer/dataplane/certs"
	"github.com/truepacs/balancer/dataplane/model"
)

// FuzzParse: whatever a Secret holds, reading it ends in an error or in something that can be asked.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(_ *testing.T, chain, key, lists []byte) {
		if p, err := certs.Parse(model.Certificate{CertPEM: chain, KeyPEM: key}); err == nil {
			_, _, _ = p.Flaws(at), p.Elements(), p.Covers("pacs.example")
		}
		a, err := certs.ParseAuthorities(model.Bundle{Data: chain}, &model.Bundle{Data: lists})
		if err == nil {
			_, _ = a.Pool(), a.Elements()
			_ = a.Revoked(nil, at)
		}
	})
}
