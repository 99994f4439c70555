package conditions

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/internal/translate"
)

func (s *scope) accepted() metav1.Condition {
	return s.decide(v1alpha1.ConditionAccepted,
		refusedAcrossBalancers,
		noDirector,
		tooManyDirectors,
		reported(v1alpha1.ConditionAccepted, metav1.ConditionFalse),
		notedByDirectors,
		acceptedAcrossBalancers,
		directorElsewhere,
		nobodyHeard,
		notYetCurrent,
		func(*scope) *verdict { return yes(v1alpha1.ReasonAccepted, "The spec is consistent.") },
	)
}

func (s *scope) resolvedRefs() metav1.Condition {
	return s.decide(v1alpha1.ConditionResolvedRefs,
		namesNoSecret,
		directorElsewhere,
		noDirectorToAsk,
		nobodyHeard,
		reported(v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse),
		notYetCurrent,
		reported(v1alpha1.ConditionResolvedRefs, metav1.ConditionUnknown),
		allReport(v1alpha1.ConditionResolvedRefs),
		func(*scope) *verdict {
			return yes(v1alpha1.ReasonResolved, "Every Secret that the spec names is there and usable.")
		},
	)
}

func (s *scope) certificatesValid() metav1.Condition {
	return s.decide(v1alpha1.ConditionCertificatesValid,
		namesNoCertificate,
		directorElsewhere,
		noDirectorToAsk,
		nobodyHeard,
		reported(v1alpha1.ConditionCertificatesValid, metav1.ConditionFalse),
		notYetCurrent,
		reported(v1alpha1.ConditionCertificatesValid, metav1.ConditionUnknown),
		reported(v1alpha1.ConditionCertificatesValid, metav1.ConditionTrue),
		func(*scope) *verdict {
			return unknown(v1alpha1.ReasonPending, "No director has looked at its certificates yet.")
		},
	)
}

func (s *scope) programmed() metav1.Condition {
	return s.decide(v1alpha1.ConditionProgrammed,
		twoHolders,
		directorElsewhere,
		noDirectorToAsk,
		nobodyHeard,
		reported(v1alpha1.ConditionProgrammed, metav1.ConditionFalse),
		notYetCurrent,
		reported(v1alpha1.ConditionProgrammed, metav1.ConditionUnknown),
		allReport(v1alpha1.ConditionProgrammed),
		(*scope).allProgrammed,
	)
}

func (s *scope) networkSound() metav1.Condition {
	return s.decide(v1alpha1.ConditionNetworkSound,
		usedInCluster,
		directorElsewhere,
		noDirectorToAsk,
		nobodyHeard,
		reported(v1alpha1.ConditionNetworkSound, metav1.ConditionFalse),
		reported(v1alpha1.ConditionNetworkSound, metav1.ConditionTrue),
		func(*scope) *verdict {
			return unknown(v1alpha1.ReasonPending, "No director has looked at its network yet.")
		},
	)
}

// usedInCluster: an address has a second owner in the cluster. What directors found beside that is
// told as well.
func usedInCluster(s *scope) *verdict {
	if len(s.Users) == 0 {
		return nil
	}
	var says []string
	for _, u := range s.Users[:min(len(s.Users), mostUsers)] {
		says = append(says, s.use(u))
	}
	if more := reported(v1alpha1.ConditionNetworkSound, metav1.ConditionFalse)(s); more != nil {
		says = append(says, more.message)
	}
	return no(v1alpha1.ReasonUsedInCluster, "%s", strings.Join(says, " "))
}

// mostUsers bounds a message.
const mostUsers = 4

func (s *scope) use(u User) string {
	address := u.VirtualIP
	for _, v := range s.spec.VirtualIPs {
		if v.Name == u.VirtualIP {
			address = fmt.Sprintf("%s (spec.virtualIPs name %s)", v.Address, v.Name)
		}
	}
	if u.Service != "" {
		namespace, name, _ := strings.Cut(u.Service, "/")
		return fmt.Sprintf("The virtual IP %s is also an address of the Service %s, so two programs answer for it (kube-proxy, MetalLB, kube-vip or a cloud's load balancer beside the director). "+
			"Take it from the Service (kubectl edit service --namespace %s %s), or choose another virtual IP.", address, u.Service, namespace, name)
	}
	namespace, name, _ := strings.Cut(u.Pool, "/")
	return fmt.Sprintf("The virtual IP %s is in MetalLB's address pool %s (%s), so a Service may get it at any time. "+
		"Take it out of the pool (kubectl edit ipaddresspools.metallb.io --namespace %s %s), or choose another virtual IP.", address, u.Pool, u.Range, namespace, name)
}

func refusedAcrossBalancers(s *scope) *verdict {
	if s.Accepted == nil || s.Accepted.Status == metav1.ConditionTrue {
		return nil
	}
	return &verdict{s.Accepted.Status, s.Accepted.Reason, s.Accepted.Message}
}

func acceptedAcrossBalancers(s *scope) *verdict {
	if s.Accepted == nil {
		return nil
	}
	return &verdict{s.Accepted.Status, s.Accepted.Reason, s.Accepted.Message}
}

// notedByDirectors: a director accepts the spec and adds what only it can know, whose idle timeouts are
// in force on it for example.
func notedByDirectors(s *scope) *verdict {
	for _, d := range s.current() {
		c := meta.FindStatusCondition(d.report.Conditions, v1alpha1.ConditionAccepted)
		if c != nil && c.Status == metav1.ConditionTrue && strings.Contains(c.Message, translate.NoteMark) {
			return &verdict{c.Status, c.Reason, c.Message}
		}
	}
	return nil
}

func noDirector(s *scope) *verdict {
	if len(s.wanted()) > 0 || s.Elsewhere != "" {
		return nil
	}
	selector := Selector(s.spec.Directors)
	return no(v1alpha1.ReasonNoDirector, "No node matches spec.directors.nodeSelector (%s), so no node can hold the virtual IPs. Label one: kubectl label node NODE %s",
		write(selector, ","), write(selector, " "))
}

// directorElsewhere: this is a plain host and another one is the director.
func directorElsewhere(s *scope) *verdict {
	if s.Elsewhere == "" || len(s.wanted()) > 0 {
		return nil
	}
	return unknown(v1alpha1.ReasonDirectorElsewhere, "The director of this balancer is %s (spec.directors.peers), this host is called %s. The director holds the virtual IPs and knows how the servers are. Ask there: truepacs status",
		s.Elsewhere, s.Self)
}

func noDirectorToAsk(s *scope) *verdict {
	if len(s.wanted()) > 0 {
		return nil
	}
	return no(v1alpha1.ReasonNoDirector, "No node matches spec.directors.nodeSelector, see the condition Accepted.")
}

func tooManyDirectors(s *scope) *verdict {
	if len(s.wanted()) <= maxDirectors {
		return nil
	}
	return no(v1alpha1.ReasonTooManyDirectors, "%s match spec.directors.nodeSelector (%s), but exactly one node may hold the virtual IPs. Take the label from the others: kubectl label node NODE %s",
		names(s.wanted()), write(Selector(s.spec.Directors), ","), unlabel(Selector(s.spec.Directors)))
}

func namesNoSecret(s *scope) *verdict {
	if s.endsTLS() {
		return nil
	}
	return yes(v1alpha1.ReasonResolved, "The spec names no Secret.")
}

func namesNoCertificate(s *scope) *verdict {
	if s.endsTLS() {
		return nil
	}
	return yes(v1alpha1.ReasonValid, "The spec names no certificate.")
}

func (s *scope) endsTLS() bool {
	return slices.ContainsFunc(s.spec.VirtualServices, func(v v1alpha1.VirtualService) bool {
		return v.Layer7 != nil && v.Layer7.TLS != nil && len(v.Layer7.TLS.CertificateRefs) > 0
	})
}

// nobodyHeard: no agent on any of the directors is alive.
func nobodyHeard(s *scope) *verdict {
	if len(s.reachable()) > 0 {
		return nil
	}
	if quiet := s.quiet(); len(quiet) > 0 {
		return unknown(v1alpha1.ReasonDirectorSilent, "%s", s.silence(quiet))
	}
	return unknown(v1alpha1.ReasonPending, "No agent runs on %s yet. If this lasts, look at its pod: kubectl get pods --all-namespaces --selector app.kubernetes.io/name=truepacs-agent --output wide",
		names(s.wanted()))
}

// quiet are the directors that were there once and are not heard now.
func (s *scope) quiet() []director {
	return slices.DeleteFunc(s.wanted(), func(d director) bool {
		return d.liveness == alive || (d.liveness == absent && d.report == nil)
	})
}

func (s *scope) silence(quiet []director) string {
	var held []string
	for _, v := range s.spec.VirtualIPs {
		if slices.ContainsFunc(quiet, func(d director) bool { return d.claims(v.Name) }) {
			held = append(held, v.Address)
		}
	}
	message := fmt.Sprintf("The agent on %s has not renewed its Lease, so nobody knows what it does now.", names(quiet))
	if len(held) > 0 {
		message += fmt.Sprintf(" It held %s when last heard, and may go on without the API server.", join(held))
	}
	return message + " Check the node, its network to the API server and the pod truepacs-agent there."
}

// notYetCurrent: a reachable director has not reported on this generation.
func notYetCurrent(s *scope) *verdict {
	for _, d := range s.reachable() {
		if d.report == nil {
			return unknown(v1alpha1.ReasonPending, "Director %s has not reported yet.", d.name)
		}
		if d.report.ObservedGeneration < s.Balancer.Generation {
			return unknown(v1alpha1.ReasonPending, "%s", s.stillOld(d))
		}
	}
	return nil
}

func (s *scope) stillOld(d director) string {
	return fmt.Sprintf("Director %s still does what generation %d of the spec says; generation %d is under way.",
		d.name, d.report.ObservedGeneration, s.Balancer.Generation)
}

// allReport: a report without the condition is no consent.
func allReport(kind string) step {
	return func(s *scope) *verdict {
		for _, d := range s.current() {
			if !slices.ContainsFunc(d.report.Conditions, func(c metav1.Condition) bool { return c.Type == kind }) {
				return unknown(v1alpha1.ReasonPending, "Director %s has not reported %s yet.", d.name, kind)
			}
		}
		return nil
	}
}

func twoHolders(s *scope) *verdict {
	for _, v := range s.spec.VirtualIPs {
		if h := s.holders(v.Name); len(h) > 1 {
			return no(v1alpha1.ReasonTwoHolders, "%s each say that they hold %s (spec.virtualIPs name %s). Connections break until one lets go: check that the nodes reach each other, and that only one matches spec.directors.nodeSelector.",
				names(h), v.Address, v.Name)
		}
	}
	return nil
}

func (s *scope) allProgrammed() *verdict {
	message := fmt.Sprintf("Director %s does what generation %d of the spec says.", names(s.reachable()), s.Balancer.Generation)
	if quiet := s.quiet(); len(quiet) > 0 {
		message += " " + s.silence(quiet)
	}
	return yes(v1alpha1.ReasonProgrammed, "%s", message)
}

// Selector is the node selector of a balancer's directors: what spec.directors says, else
// lb.truepacs.io/director=true; never empty, so never all nodes.
func Selector(d *v1alpha1.Directors) map[string]string {
	if d == nil || len(d.NodeSelector) == 0 {
		return map[string]string{v1alpha1.DirectorLabel: "true"}
	}
	return d.NodeSelector
}

func write(selector map[string]string, separator string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(selector)) {
		out = append(out, k+"="+selector[k])
	}
	return strings.Join(out, separator)
}

func unlabel(selector map[string]string) string {
	return slices.Sorted(maps.Keys(selector))[0] + "-"
}
