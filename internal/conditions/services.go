package conditions

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// virtualIPs says who holds each address of the spec.
func (s *scope) virtualIPs() []v1alpha1.VirtualIPStatus {
	var out []v1alpha1.VirtualIPStatus
	for _, v := range s.spec.VirtualIPs {
		status := v1alpha1.VirtualIPStatus{Name: v.Name, Address: v.Address}
		if holders := s.holders(v.Name); len(holders) > 0 {
			status.ActiveNode = holders[0].name
			status.Interface = interfaceOf(holders[0].report, v.Name)
		}
		out = append(out, status)
	}
	return out
}

func interfaceOf(report *v1alpha1.TruePACSReportStatus, vip string) string {
	for _, v := range report.VirtualIPs {
		if v.Name == vip {
			return v.Interface
		}
	}
	return ""
}

// services says how each virtual service of the spec is, as the holder of its address sees it.
func (s *scope) services() []v1alpha1.VirtualServiceStatus {
	var out []v1alpha1.VirtualServiceStatus
	for i := range s.spec.VirtualServices {
		service := &s.spec.VirtualServices[i]
		view := s.view(service)
		out = append(out, v1alpha1.VirtualServiceStatus{
			Name:         service.Name,
			Conditions:   s.serviceConditions(service.Name, view),
			Programmed:   s.stands(service.Name, view),
			Certificates: certificatesOf(view, service.Name),
			ServerStates: s.serverStates(service, view),
		})
	}
	return out
}

// certificatesOf are those that a director has in use.
func certificatesOf(view *director, service string) []v1alpha1.CertificateStatus {
	if seen := serviceOf(view, service); seen != nil {
		return seen.Certificates
	}
	return nil
}

// stands is what is programmed for a service, as its director says, of whichever generation. While
// nobody is heard, what was last heard holds: a silent director goes on with it.
func (s *scope) stands(service string, view *director) *v1alpha1.ProgrammedService {
	if seen := serviceOf(view, service); seen != nil {
		return seen.Programmed
	}
	if view != nil {
		return nil
	}
	for i := range s.Balancer.Status.VirtualServices {
		if v := &s.Balancer.Status.VirtualServices[i]; v.Name == service {
			return v.Programmed
		}
	}
	return nil
}

// view is the director whose word counts for a service: the holder of its first address that is
// held, else the first that is heard; nil: none is heard.
func (s *scope) view(service *v1alpha1.VirtualService) *director {
	for _, vip := range service.VirtualIPs {
		if holders := s.holders(vip); len(holders) > 0 {
			return &holders[0]
		}
	}
	for _, d := range s.reachable() {
		if d.heard() {
			return &d
		}
	}
	return nil
}

func serviceOf(d *director, name string) *v1alpha1.VirtualServiceStatus {
	if d == nil || d.report == nil {
		return nil
	}
	i := slices.IndexFunc(d.report.VirtualServices, func(v v1alpha1.VirtualServiceStatus) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return &d.report.VirtualServices[i]
}

func (s *scope) serviceConditions(name string, view *director) []metav1.Condition {
	var next []metav1.Condition
	seen := serviceOf(view, name)
	if s.outdated(view) {
		seen = nil
	}
	for _, kind := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionResolvedRefs, v1alpha1.ConditionProgrammed, v1alpha1.ConditionCertificatesValid} {
		if seen != nil {
			if c := meta.FindStatusCondition(seen.Conditions, kind); c != nil {
				condition := New(kind, c.Status, c.Reason, c.Message)
				condition.ObservedGeneration = view.report.ObservedGeneration
				next = append(next, condition)
				continue
			}
		}
		reason, message := s.unseen(view)
		next = append(next, New(kind, metav1.ConditionUnknown, reason, message))
	}
	return Merge(s.previous(name), next, s.Balancer.Generation, s.Now)
}

func (s *scope) previous(service string) []metav1.Condition {
	for _, v := range s.Balancer.Status.VirtualServices {
		if v.Name == service {
			return v.Conditions
		}
	}
	return nil
}

// outdated: the report speaks of an older spec. Its word on servers counts all the same, but a
// service that it calls programmed may be another one now.
func (s *scope) outdated(d *director) bool {
	return d != nil && d.report != nil && d.report.ObservedGeneration < s.Balancer.Generation
}

// unseen says why nothing is known of a service or server.
func (s *scope) unseen(view *director) (reason, message string) {
	if s.outdated(view) {
		return v1alpha1.ReasonPending, s.stillOld(*view)
	}
	if view != nil {
		return v1alpha1.ReasonPending, "Director " + view.name + " has not reported on this yet."
	}
	for _, step := range []step{directorElsewhere, noDirectorToAsk, nobodyHeard, notYetCurrent} {
		if v := step(s); v != nil {
			return v.reason, v.message
		}
	}
	return v1alpha1.ReasonPending, "No director has reported on this yet."
}
