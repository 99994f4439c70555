package host

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/internal/conditions"
	"github.com/truepacs/balancer/internal/manifest"
	"github.com/truepacs/balancer/internal/node"
)

// Overview is what `truepacs status` shows of a plain host: balancers as a cluster would show
// them, and problems that belong to none.
type Overview struct {
	metav1.TypeMeta `json:",inline"`
	// Items are the balancers, also those whose manifest is refused.
	Items []v1alpha1.TruePACSBalancer `json:"items"`
	// Problems are those of files in which no balancer can be told.
	Problems []string `json:"problems,omitempty"`
}

// Status folds what this host reports as the operator of a cluster would.
func (h *Host) Status() Overview {
	h.mu.Lock()
	balancers, problems := h.set.Balancers, h.problems
	h.mu.Unlock()
	refused, others := byBalancer(problems)
	out := Overview{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "TruePACSBalancerList"},
		Items:    []v1alpha1.TruePACSBalancer{}, Problems: others,
	}
	reports := h.node.Reports()
	for _, b := range balancers {
		name := types.NamespacedName{Namespace: b.Namespace, Name: b.Name}
		out.Items = append(out.Items, h.fold(b, reports[name], refused[name]))
		delete(refused, name)
	}
	for name, message := range refused {
		b := &v1alpha1.TruePACSBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}}
		out.Items = append(out.Items, h.fold(b, node.Report{}, message))
	}
	return out
}

// fold makes a balancer with its status. refused says what is wrong with its manifest, if
// something is: what is programmed is then its last good one.
func (h *Host) fold(b *v1alpha1.TruePACSBalancer, report node.Report, refused string) v1alpha1.TruePACSBalancer {
	out := b.DeepCopy()
	out.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "TruePACSBalancer"}
	in := conditions.Input{Balancer: out, Directors: []string{}, Now: time.Now(), Leases: map[string]time.Time{}}
	if refused != "" {
		c := conditions.New(v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonInvalidField, refused)
		in.Accepted = &c
	} else if accepted := find(report.Status.Conditions, v1alpha1.ConditionAccepted); accepted != nil {
		in.Accepted = accepted
	}
	if !report.Active && report.Director != h.options.Node {
		in.Elsewhere, in.Self = report.Director, h.options.Node
	}
	if report.Active {
		in.Directors = []string{h.options.Node}
		in.Leases[h.options.Node] = in.Now.Add(time.Hour) // it is this process
		in.Reports = []v1alpha1.TruePACSReport{{ObjectMeta: metav1.ObjectMeta{Name: h.options.Node}, Status: report.Status}}
	}
	out.Status = conditions.Fold(in)
	return *out
}

func find(list []metav1.Condition, kind string) *metav1.Condition {
	for i := range list {
		if list[i].Type == kind {
			return &list[i]
		}
	}
	return nil
}

// byBalancer sorts problems: those of a balancer that can be told, and others.
func byBalancer(problems []manifest.Problem) (refused map[types.NamespacedName]string, others []string) {
	refused = map[types.NamespacedName]string{}
	for _, p := range problems {
		if p.Object.Kind != manifest.KindBalancer || p.Object.Name == "" {
			others = append(others, p.Error())
			continue
		}
		before := refused[p.Object.NamespacedName]
		refused[p.Object.NamespacedName] = strings.TrimSpace(before + "\n" + p.Error())
	}
	return refused, others
}
