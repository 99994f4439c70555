package translate

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
)

// SecretRefs returns the Secrets that a balancer names, each once, by name: what the caller has
// to read on the balancer's director, and nowhere else.
func SecretRefs(obj *v1alpha1.TruePACSBalancer) []types.NamespacedName {
	var out []types.NamespacedName
	for _, s := range obj.Spec.VirtualServices {
		if s.Layer7 == nil || s.Layer7.TLS == nil {
			continue
		}
		for _, ref := range s.Layer7.TLS.CertificateRefs {
			out = append(out, types.NamespacedName{Namespace: obj.Namespace, Name: ref.Name})
		}
	}
	slices.SortFunc(out, func(a, b types.NamespacedName) int { return strings.Compare(a.Name, b.Name) })
	return slices.Compact(out)
}

// listenerTLS resolves the certificates. Only the director reads Secrets.
func (r *run) listenerTLS(s *service, t *v1alpha1.ListenerTLS) *model.TLS {
	if t == nil {
		return nil
	}
	out := &model.TLS{MinVersion: minVersion(t.MinVersion)}
	if !s.owner.active {
		return out
	}
	for _, ref := range t.CertificateRefs {
		name := types.NamespacedName{Namespace: s.owner.name.Namespace, Name: ref.Name}
		secret, read := r.in.Secrets[name]
		if refusal := refuseSecret(s.spec.Name, name, secret, read); refusal != nil {
			s.refuse(refusal)
			continue
		}
		out.Certificates = append(out.Certificates, model.Certificate{Name: name.String(), CertPEM: secret.CertPEM, KeyPEM: secret.KeyPEM})
		if note := validity(name, secret, r.in.Now); note != "" {
			s.notes = append(s.notes, note)
		}
	}
	return out
}

// refuseSecret says why a Secret cannot serve. The key's bytes never get into a message.
func refuseSecret(service string, name types.NamespacedName, secret Secret, read bool) *Refusal {
	where := fmt.Sprintf("spec.virtualServices[%s].layer7.tls.certificateRefs names Secret %s", service, name.Name)
	create := fmt.Sprintf("kubectl -n %s create secret tls %s --cert=FILE --key=FILE", name.Namespace, name.Name)
	switch {
	case !read:
		refusal := unresolvedf(v1alpha1.ReasonPending, "%s, which has not been read yet", where)
		refusal.Pending = true
		return refusal
	case !secret.Found:
		return unresolvedf(v1alpha1.ReasonSecretNotFound, "%s, which does not exist in namespace %s: create it (%s), or write the name of one that does", where, name.Namespace, create)
	case len(secret.CertPEM) == 0 || len(secret.KeyPEM) == 0:
		return unresolvedf(v1alpha1.ReasonSecretInvalid, "%s, which lacks the keys tls.crt and tls.key: put the certificate chain and the private key there, PEM encoded (%s)", where, create)
	}
	if _, err := tls.X509KeyPair(secret.CertPEM, secret.KeyPEM); err != nil {
		return unresolvedf(v1alpha1.ReasonSecretInvalid, "%s, whose tls.crt and tls.key cannot be used (%v): put a PEM encoded certificate chain, leaf first, and the private key that belongs to it there (%s)", where, clip(err.Error()), create)
	}
	return nil
}

// validity says that a certificate is used outside of its time. It is served all the same: a
// browser's warning at 3 am is better than no viewer.
func validity(name types.NamespacedName, secret Secret, now time.Time) string {
	pair, err := tls.X509KeyPair(secret.CertPEM, secret.KeyPEM)
	if err != nil || pair.Leaf == nil || now.IsZero() {
		return ""
	}
	const day = "2006-01-02 15:04 MST"
	switch leaf := pair.Leaf; {
	case now.After(leaf.NotAfter):
		return fmt.Sprintf("the certificate in Secret %s expired on %s, clients will warn: put a renewed one there", name.Name, leaf.NotAfter.UTC().Format(day))
	case now.Before(leaf.NotBefore):
		return fmt.Sprintf("the certificate in Secret %s is not valid before %s, clients will warn: check it and the clock of the director", name.Name, leaf.NotBefore.UTC().Format(day))
	}
	return ""
}

// withKeys puts private keys back that were left out when the state was stored. ok is false if a
// listener lacks a key: it cannot be served.
func (r *run) withKeys(k Kept) (_ Kept, ok bool) {
	ok = true
	k.Layer7 = mapCertificates(k.Layer7, func(c model.Certificate) model.Certificate {
		if len(c.KeyPEM) > 0 {
			return c
		}
		namespace, name, _ := strings.Cut(c.Name, "/")
		secret := r.in.Secrets[types.NamespacedName{Namespace: namespace, Name: name}]
		if !secret.Found || !bytes.Equal(secret.CertPEM, c.CertPEM) || len(secret.KeyPEM) == 0 {
			ok = false
			return c
		}
		c.KeyPEM = secret.KeyPEM
		return c
	})
	return k, ok
}
