package translate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/certs"
	"github.com/truepacs/balancer/dataplane/model"
)

// certificates are what a service has in use of certificates, authorities and revocation lists.
type certificates struct {
	// elements are what expires, the first to expire first.
	elements []certs.Element
	// flaws are what clients object to.
	flaws []string
}

// lookAtCertificates finds out how long the certificates last that this node serves.
func (r *run) lookAtCertificates() {
	for _, b := range r.balancers {
		for _, s := range b.services {
			if s.effective != nil && len(s.effective.Layer7) > 0 && s.effective.Layer7[0].TLS != nil {
				s.certificates = r.inUse(s, s.effective.Layer7[0].TLS)
			}
		}
	}
}

func (r *run) inUse(s *service, t *model.TLS) (out certificates) {
	var pairs []*certs.Pair
	for _, m := range t.Certificates {
		p, err := certs.Parse(m)
		if err != nil {
			continue // it was accepted before and cannot turn bad
		}
		pairs = append(pairs, p)
		out.elements = append(out.elements, p.Elements()...)
		if !p.WorksWith(t.CipherSuites) {
			out.flaws = append(out.flaws, fmt.Sprintf("The certificate in Secret %s has a key that none of cipherSuites is for, so clients with TLS 1.2 do not get it: add one with %s in its name", m.Name, p.KeyKind()))
		}
		for _, f := range p.Flaws(r.in.Now) {
			if !f.Expired {
				out.flaws = append(out.flaws, fmt.Sprintf("The certificate in Secret %s %s", m.Name, f.Message))
			}
		}
	}
	if names := certs.Uncovered(s.serverNames(), pairs); len(names) > 0 {
		out.flaws = append(out.flaws, fmt.Sprintf("No certificate is for %s, which serverNames has: add one that is, or take the name out", some(names)))
	}
	if t.Clients != nil {
		out.addAuthorities(t.Clients)
	}
	slices.SortStableFunc(out.elements, func(a, b certs.Element) int { return a.NotAfter.Compare(b.NotAfter) })
	return out
}

func (c *certificates) addAuthorities(m *model.ClientCertificates) {
	a, err := certs.ParseAuthorities(m.CA, m.CRL)
	if err != nil {
		return // as above
	}
	c.elements = append(c.elements, a.Elements()...)
	if left := a.Unlisted(); len(left) > 0 {
		c.flaws = append(c.flaws, fmt.Sprintf("Secret %s has no revocation list of %s, so clients with a certificate of theirs are refused: put one beside the others", m.CRL.Name, some(left)))
	}
}

// noCertificates is what there is to say of most services.
const noCertificates = "No certificate is in use."

// certificatesValid: the gravest finding gives the reason, the message tells all.
func (s *service) certificatesValid() Condition {
	c := Condition{Type: v1alpha1.ConditionCertificatesValid, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonValid, Message: noCertificates}
	if !s.namesTLS() {
		return c
	}
	if !s.owner.active && s.effective == nil {
		return s.unseen(c)
	}
	found := s.certificateFindings()
	if len(found) == 0 && len(s.certificates.elements) == 0 {
		return s.certificatesPending(c)
	}
	if len(found) == 0 {
		first := s.certificates.elements[0]
		c.Message = fmt.Sprintf("The first to expire is %s, on %s.", where(first), certs.Date(first.NotAfter))
		return c
	}
	slices.SortStableFunc(found, worseFirst)
	var texts []string
	for _, f := range found {
		texts = append(texts, f.Message)
	}
	found[0].Message = join(texts) + "."
	return found[0]
}

func (s *service) serverNames() []string {
	if !s.namesSecrets() {
		return nil
	}
	return s.spec.Layer7.TLS.ServerNames
}

func (s *service) namesTLS() bool { return s.namesSecrets() || len(s.certificates.elements) > 0 }

func (s *service) certificatesPending(c Condition) Condition {
	c.Status, c.Reason, c.Message = metav1.ConditionUnknown, v1alpha1.ReasonPending, "No certificate is in use yet, see the condition ResolvedRefs."
	return c
}

// gravity orders the reasons of CertificatesValid.
var gravity = []string{
	v1alpha1.ReasonExpired, v1alpha1.ReasonExpiresWithin7Days, v1alpha1.ReasonCertificateRefused, v1alpha1.ReasonCertificateFlawed,
	v1alpha1.ReasonExpiresWithin30Days,
}

func worseFirst(a, b Condition) int { return cmp.Compare(rank(a), rank(b)) }

func rank(c Condition) int {
	if i := slices.Index(gravity, c.Reason); i >= 0 {
		return i
	}
	return len(gravity)
}

// certificateFindings are what is to be done, in any order.
func (s *service) certificateFindings() (out []Condition) {
	add := func(reason, message string) {
		status := metav1.ConditionFalse
		if reason == v1alpha1.ReasonExpiresWithin30Days {
			status = metav1.ConditionTrue
		}
		out = append(out, Condition{Type: v1alpha1.ConditionCertificatesValid, Status: status, Reason: reason, Message: message})
	}
	for _, e := range s.certificates.elements {
		switch e.Stage(s.owner.now) {
		case certs.Expired:
			add(v1alpha1.ReasonExpired, capital(where(e))+" expired on "+certs.Date(e.NotAfter)+harm(e)+": put a new one there")
		case certs.Urgent:
			add(v1alpha1.ReasonExpiresWithin7Days, capital(where(e))+" expires on "+certs.Date(e.NotAfter)+": put a new one there now")
		case certs.Soon:
			add(v1alpha1.ReasonExpiresWithin30Days, capital(where(e))+" expires on "+certs.Date(e.NotAfter)+": have it renewed")
		case certs.Fine:
		}
	}
	for _, h := range s.held {
		if !h.Pending {
			add(v1alpha1.ReasonCertificateRefused, fmt.Sprintf("What Secret %s holds now is refused and what was read there before stays in use, see the condition ResolvedRefs", h.secret))
		}
	}
	for _, f := range s.certificates.flaws {
		add(v1alpha1.ReasonCertificateFlawed, f)
	}
	return out
}

// where names something that expires.
func where(e certs.Element) string {
	what := map[certs.Kind]string{
		certs.Certificate: "the certificate of", certs.Intermediate: "the intermediate certificate", certs.Authority: "the authority",
		certs.RevocationList: "the revocation list of",
	}[e.Kind]
	return fmt.Sprintf("%s %s in Secret %s", what, e.Subject, e.Source)
}

// harm says what it means that something has expired.
func harm(e certs.Element) string {
	switch e.Kind {
	case certs.RevocationList:
		return ", so clients with a certificate of this authority are refused"
	case certs.Authority:
		return ", so clients with a certificate of it are refused"
	case certs.Certificate, certs.Intermediate:
	}
	return ", so clients warn or refuse"
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
