package translate

import (
	"cmp"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/certs"
	"github.com/truepacs/balancer/dataplane/model"
)

// The keys of Secrets that hold authorities and revocation lists, as the API documents them.
const (
	defaultCAKey  = "ca.crt"
	defaultCRLKey = "ca.crl"
)

// clientCertificates decides whose client certificates are accepted.
func (r *run) clientCertificates(s *service, c *v1alpha1.ClientCertificates, past *model.TLS) *model.ClientCertificates {
	if c == nil {
		return nil
	}
	ca, caMissing := r.bundle(s, "caRef", c.CARef, defaultCAKey)
	offer := certs.Trust{CA: &ca}
	var crlMissing *Refusal
	if c.CRLRef != nil {
		var crl model.Bundle
		crl, crlMissing = r.bundle(s, "crlRef", *c.CRLRef, defaultCRLKey)
		offer.CRL = &crl
	}
	d := certs.DecideTrust(offer, pastTrust(past, offer), r.in.Now)
	for _, found := range []struct {
		why     error
		missing *Refusal
		field   string
		bundle  *model.Bundle
	}{{d.RefusedCA, caMissing, "caRef", offer.CA}, {d.RefusedCRL, crlMissing, "crlRef", offer.CRL}} {
		if found.why != nil {
			refusal := unresolvedf(v1alpha1.ReasonSecretInvalid, "%s, which %s", r.namesBundle(s, found.field, found.bundle.Name), found.why.Error())
			s.unusable(found.bundle.Name, cmp.Or(found.missing, refusal), d.Use != nil)
		}
	}
	if d.Use == nil {
		return nil
	}
	return &model.ClientCertificates{Required: c.Mode == v1alpha1.ClientCertificateRequired, CA: *d.CA, CRL: d.CRL}
}

// bundle reads a key of a Secret; missing says why there is nothing.
func (r *run) bundle(s *service, field string, ref v1alpha1.SecretKeyReference, key string) (b model.Bundle, missing *Refusal) {
	name := types.NamespacedName{Namespace: s.owner.name.Namespace, Name: ref.Name}
	key = cmp.Or(ref.Key, key)
	b.Name = name.String()
	where := r.namesBundle(s, field, b.Name)
	create := fmt.Sprintf("kubectl -n %s create secret generic %s --from-file=%s=FILE", name.Namespace, name.Name, key)
	secret, read := r.in.Secrets[name]
	switch {
	case !read:
		return b, unread(where)
	case !secret.Found:
		return b, unresolvedf(v1alpha1.ReasonSecretNotFound, "%s, which does not exist in namespace %s: create it (%s), or write the name of one that does", where, name.Namespace, create)
	case len(secret.Data[key]) == 0:
		return b, unresolvedf(v1alpha1.ReasonSecretInvalid, "%s, which lacks the key %s: put it there (%s), or write in key where it is", where, key, create)
	}
	b.Data = secret.Data[key]
	return b, nil
}

func (r *run) namesBundle(s *service, field, bundle string) string {
	_, name, _ := strings.Cut(bundle, "/")
	return fmt.Sprintf("spec.virtualServices[%s].layer7.tls.clientCertificates.%s names Secret %s", s.spec.Name, field, name)
}

// pastTrust is what was in use from the same Secrets.
func pastTrust(past *model.TLS, offer certs.Trust) certs.Trust {
	var out certs.Trust
	if past == nil || past.Clients == nil {
		return out
	}
	if past.Clients.CA.Name == offer.CA.Name {
		out.CA = &past.Clients.CA
	}
	if crl := past.Clients.CRL; crl != nil && offer.CRL != nil && crl.Name == offer.CRL.Name {
		out.CRL = crl
	}
	return out
}

// maxTrust bounds what all listeners of a service have of authorities and revocation lists, in
// bytes: each of them is given its own.
const maxTrust = 16 << 20

func refuseTrustSize(s *service, l model.Listener, listeners int) *Refusal {
	if l.TLS == nil || l.TLS.Clients == nil {
		return nil
	}
	size := len(l.TLS.Clients.CA.Data)
	if l.TLS.Clients.CRL != nil {
		size += len(l.TLS.Clients.CRL.Data)
	}
	if size*listeners <= maxTrust {
		return nil
	}
	return refusef(v1alpha1.ReasonInvalidField, "spec.virtualServices[%s].layer7.tls.clientCertificates: %d bytes of authorities and revocation lists at each of %d addresses and ports are too much: shorten the lists, or use fewer ports",
		s.spec.Name, size, listeners)
}

// sameSources tells whether two verify clients with what the same Secrets hold.
func sameSources(a, b *model.ClientCertificates) bool {
	if a == nil || b == nil || a.CA.Name != b.CA.Name || (a.CRL == nil) != (b.CRL == nil) {
		return false
	}
	return a.CRL == nil || a.CRL.Name == b.CRL.Name
}
