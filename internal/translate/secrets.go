package translate

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/certs"
	"github.com/truepacs/balancer/dataplane/model"
)

// SecretRefs returns the Secrets that a balancer names, each once, by name: what the caller has
// to read on the balancer's director, and nowhere else.
func SecretRefs(obj *v1alpha1.TruePACSBalancer) []types.NamespacedName {
	var names []string
	for _, s := range obj.Spec.VirtualServices {
		if s.Layer7 != nil && s.Layer7.TLS != nil {
			names = append(names, secretsOf(s.Layer7.TLS)...)
		}
	}
	slices.Sort(names)
	var out []types.NamespacedName
	for _, name := range slices.Compact(names) {
		out = append(out, types.NamespacedName{Namespace: obj.Namespace, Name: name})
	}
	return out
}

func secretsOf(t *v1alpha1.ListenerTLS) (names []string) {
	for _, ref := range t.CertificateRefs {
		names = append(names, ref.Name)
	}
	if c := t.ClientCertificates; c != nil {
		names = append(names, c.CARef.Name)
		if c.CRLRef != nil {
			names = append(names, c.CRLRef.Name)
		}
	}
	return names
}

// listenerTLS decides which certificates are served and whose are accepted. Only the director
// reads Secrets.
func (r *run) listenerTLS(s *service, t *v1alpha1.ListenerTLS) *model.TLS {
	if t == nil {
		return nil
	}
	out := &model.TLS{MinVersion: minVersion(t.MinVersion), CipherSuites: cipherSuites(s, t)}
	if !s.owner.active {
		return out
	}
	past := r.pastTLS(s)
	names := r.names(s, t, past)
	for i, ref := range t.CertificateRefs {
		name := types.NamespacedName{Namespace: s.owner.name.Namespace, Name: ref.Name}
		secret, read := r.in.Secrets[name]
		current := pastCertificate(past, name)
		d := certs.Decide(offered(name, secret, read), current, names.of(i), r.in.Now)
		if d.Refused != nil {
			s.unusable(name.String(), refuseSecret(s.spec.Name, name, secret, read, d.Refused), d.Use != nil)
		}
		if d.Use != nil {
			out.Certificates = append(out.Certificates, d.Use.Model())
		}
	}
	out.Clients = r.clientCertificates(s, t.ClientCertificates, past)
	s.tls = out
	return out
}

// unusable keeps a finding about a Secret: with something to go on with, the service is programmed.
func (s *service) unusable(secret string, refusal *Refusal, kept bool) {
	if kept {
		s.held = append(s.held, heldSecret{*refusal, secret})
	} else {
		s.refuse(refusal)
	}
}

// offered is what a Secret holds; nil: nothing.
func offered(name types.NamespacedName, secret Secret, read bool) *model.Certificate {
	if !read || !secret.Found {
		return nil
	}
	return &model.Certificate{Name: name.String(), CertPEM: secret.CertPEM, KeyPEM: secret.KeyPEM}
}

// names are the pairs that a service has now and those that its Secrets offer, by index of
// certificateRefs; nil: none that can be served.
type names struct {
	needed    []string
	now, next []*certs.Pair
}

// names reads what there is to compare; nothing if the spec does not say which names are needed.
func (r *run) names(s *service, t *v1alpha1.ListenerTLS, past *model.TLS) names {
	n := names{needed: t.ServerNames}
	if n.needed == nil {
		return n
	}
	for _, ref := range t.CertificateRefs {
		name := types.NamespacedName{Namespace: s.owner.name.Namespace, Name: ref.Name}
		secret, read := r.in.Secrets[name]
		offer := offered(name, secret, read)
		n.next = append(n.next, parsed(offer))
		n.now = append(n.now, parsed(cmp.Or(pastCertificate(past, name), offer)))
	}
	return n
}

// of are the server names that the index-th certificate alone is sure to have: no other one has them both
// now and in what is offered. nil: the spec does not say what is needed.
func (n names) of(index int) []string {
	if n.needed == nil {
		return nil
	}
	needed := append(certs.Uncovered(n.needed, without(n.now, index)), certs.Uncovered(n.needed, without(n.next, index))...)
	slices.Sort(needed)
	return slices.Compact(needed)
}

// without are the pairs but for one.
func without(list []*certs.Pair, index int) (out []*certs.Pair) {
	for i, p := range list {
		if i != index && p != nil {
			out = append(out, p)
		}
	}
	return out
}

func parsed(m *model.Certificate) *certs.Pair {
	if m == nil {
		return nil
	}
	p, err := certs.Parse(*m)
	if err != nil {
		return nil // what is wrong with it is told where it is decided on
	}
	return p
}

// pastTLS is what the service's listeners had, with private keys as far as they are at hand; nil:
// nothing.
func (r *run) pastTLS(s *service) *model.TLS {
	k := r.in.Previous[s.key]
	if len(k.Layer7) == 0 {
		return nil
	}
	k, _ = r.withKeys(k)
	return k.Layer7[0].TLS
}

func pastCertificate(past *model.TLS, name types.NamespacedName) *model.Certificate {
	if past == nil {
		return nil
	}
	for i := range past.Certificates {
		if past.Certificates[i].Name == name.String() && len(past.Certificates[i].KeyPEM) > 0 {
			return &past.Certificates[i]
		}
	}
	return nil
}

// refuseSecret says why a Secret cannot serve. The key's bytes never get into a message.
func refuseSecret(service string, name types.NamespacedName, secret Secret, read bool, why error) *Refusal {
	where := fmt.Sprintf("spec.virtualServices[%s].layer7.tls.certificateRefs names Secret %s", service, name.Name)
	create := fmt.Sprintf("kubectl -n %s create secret tls %s --cert=FILE --key=FILE", name.Namespace, name.Name)
	switch {
	case !read:
		return unread(where)
	case !secret.Found:
		return unresolvedf(v1alpha1.ReasonSecretNotFound, "%s, which does not exist in namespace %s: create it (%s), or write the name of one that does", where, name.Namespace, create)
	case len(secret.CertPEM) == 0 || len(secret.KeyPEM) == 0:
		return unresolvedf(v1alpha1.ReasonSecretInvalid, "%s, which lacks the keys tls.crt and tls.key: put the certificate chain and the private key there, PEM encoded (%s)", where, create)
	}
	return unresolvedf(v1alpha1.ReasonSecretInvalid, "%s, which %s", where, why.Error())
}

func unread(where string) *Refusal {
	refusal := unresolvedf(v1alpha1.ReasonPending, "%s, which has not been read yet", where)
	refusal.Pending = true
	return refusal
}

func cipherSuites(s *service, t *v1alpha1.ListenerTLS) []uint16 {
	where := fmt.Sprintf("spec.virtualServices[%s].layer7.tls.cipherSuites", s.spec.Name)
	if len(t.CipherSuites) > 0 && t.MinVersion == v1alpha1.TLS13 {
		s.refuse(refusef(v1alpha1.ReasonInvalidField, "%s are those of TLS 1.2, which minVersion: TLS13 refuses: remove cipherSuites, or write minVersion: TLS12", where))
		return nil
	}
	var out []uint16
	for _, name := range t.CipherSuites {
		id, err := certs.CipherSuite(name)
		if err != nil {
			s.refuse(refusef(v1alpha1.ReasonInvalidField, "%s: %v", where, err))
			continue
		}
		out = append(out, id)
	}
	return out
}

// followCertificates gives a service that goes on as it was the certificates that are decided on
// now: a spec that is refused must not keep a renewed certificate, or a revocation, from being used.
func (s *service) followCertificates(k *Kept) {
	if s.tls == nil {
		return
	}
	k.Layer7 = mapCertificates(k.Layer7, func(c model.Certificate) model.Certificate {
		for _, now := range s.tls.Certificates {
			if now.Name == c.Name {
				return now
			}
		}
		return c
	})
	for _, l := range k.Layer7 {
		if l.TLS != nil && sameSources(l.TLS.Clients, s.tls.Clients) {
			clients := *s.tls.Clients
			clients.Required = l.TLS.Clients.Required
			l.TLS.Clients = &clients
		}
	}
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
