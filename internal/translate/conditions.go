package translate

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// maxShown is how many findings one message repeats.
const maxShown = 3

// conditions of one service: Accepted, ResolvedRefs and CertificatesValid.
func (s *service) conditions() []Condition {
	return []Condition{
		s.condition(v1alpha1.ConditionAccepted, v1alpha1.ReasonAccepted, "The spec is accepted."+notes(s.advice)),
		s.condition(v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonResolved, s.resolved()),
		s.certificatesValid(),
	}
}

func (s *service) condition(kind, good, message string) Condition {
	c := Condition{Type: kind, Status: metav1.ConditionTrue, Reason: good, Message: message}
	all := slices.Clone(s.refusals)
	for _, h := range s.held {
		all = append(all, h.Refusal)
	}
	found := slices.DeleteFunc(all, func(r Refusal) bool { return r.Condition != kind })
	if len(found) == 0 {
		return s.unseen(c)
	}
	c.Status, c.Reason = metav1.ConditionFalse, found[0].Reason
	if !slices.ContainsFunc(found, func(r Refusal) bool { return !r.Pending }) {
		c.Status = metav1.ConditionUnknown
	}
	var texts []string
	for _, r := range found {
		texts = append(texts, r.Message)
	}
	c.Message = join(texts) + ". " + s.fate()
	return c
}

// NoteMark begins what is worth knowing in a message although nothing is refused.
const NoteMark = " Note: "

// notes says what is worth knowing although nothing is refused.
func notes(advice []string) string {
	if len(advice) == 0 {
		return ""
	}
	return NoteMark + join(advice) + "."
}

// unseen: only the director reads Secrets.
func (s *service) unseen(c Condition) Condition {
	if c.Type != v1alpha1.ConditionAccepted && !s.owner.active && s.namesSecrets() {
		c.Status, c.Reason = metav1.ConditionUnknown, v1alpha1.ReasonPending
		c.Message = "Certificates are looked at by the director alone."
	}
	return c
}

func (s *service) namesSecrets() bool {
	return s.spec.Layer7 != nil && s.spec.Layer7.TLS != nil
}

// fate says what becomes of a service that is refused.
func (s *service) fate() string {
	switch {
	case len(s.refusals) == 0:
		return "Until then what was read there before stays in use."
	case s.kept:
		return "Until then the last accepted state of this service stays in force."
	case s.owner.active:
		return "Until then nothing is programmed for this service."
	}
	return "Until then what was accepted before stays in force."
}

func (s *service) resolved() string {
	if s.namesSecrets() {
		return "Every Secret that the spec names exists and is usable."
	}
	if s.namesServices() {
		return "Every Service that the spec names has the port that is asked for."
	}
	return "The spec names no Secret."
}

// conditions of a balancer sum up those of its services.
func (b *balancer) conditions() []Condition {
	advice := slices.Clone(b.advice)
	for _, s := range b.services {
		advice = append(advice, s.advice...)
	}
	out := []Condition{
		b.condition(0, v1alpha1.ConditionAccepted, "The spec is accepted."+b.unused()+notes(distinct(advice))),
		b.condition(1, v1alpha1.ConditionResolvedRefs, "Every Secret that the spec names exists and is usable."),
		b.condition(2, v1alpha1.ConditionCertificatesValid, noCertificates),
	}
	if b.refusal != nil {
		out[0].Message = b.refusal.Message + ". Until then what was accepted before stays in force."
	}
	return out
}

// condition sums up the index-th condition of all services: False counts more than Unknown.
func (b *balancer) condition(index int, kind, message string) Condition {
	var bad, unknown, notes []Condition
	for _, s := range b.all() {
		c := s.conditions()[index]
		switch {
		case c.Status == metav1.ConditionFalse:
			bad = append(bad, c)
		case c.Status == metav1.ConditionUnknown:
			unknown = append(unknown, c)
		case c.Type == v1alpha1.ConditionCertificatesValid && c.Message != noCertificates:
			notes = append(notes, c)
		}
	}
	switch {
	case len(bad) > 0:
		return b.sum(kind, bad)
	case len(unknown) > 0:
		return b.sum(kind, unknown)
	case len(notes) > 0:
		slices.SortStableFunc(notes, worseFirst)
		return b.sum(kind, notes)
	}
	reason := []string{v1alpha1.ReasonAccepted, v1alpha1.ReasonResolved, v1alpha1.ReasonValid}[index]
	return Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: message}
}

func (b *balancer) sum(kind string, found []Condition) Condition {
	var texts []string
	for _, c := range found {
		texts = append(texts, c.Message)
	}
	texts = distinct(texts)
	c := found[0]
	c.Type = kind
	if all := len(b.services) + len(b.gateways); c.Status == metav1.ConditionFalse && all > 1 {
		c.Message = fmt.Sprintf("%d of %d services: %s", len(found), all, join(texts))
		return c
	}
	c.Message = join(texts)
	return c
}

// distinct drops texts that were there before.
func distinct(texts []string) []string {
	var out []string
	for _, t := range texts {
		if !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// unused names addresses that no service uses: they are not held.
func (b *balancer) unused() string {
	used := map[string]bool{}
	for _, s := range b.all() {
		for _, name := range s.spec.VirtualIPs {
			used[name] = true
		}
	}
	var names []string
	for _, v := range b.obj.Spec.VirtualIPs {
		if !used[v.Name] {
			names = append(names, v.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(" No service uses the virtual IPs %s: they are not held.", some(names))
}

// join puts findings into one message, the first few in full.
func join(texts []string) string {
	more := ""
	if len(texts) > maxShown {
		more = fmt.Sprintf(" (and %d more)", len(texts)-maxShown)
		texts = texts[:maxShown]
	}
	return strings.Join(texts, "; ") + more
}
