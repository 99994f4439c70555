package report

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/agent"
	"github.com/truepacs/balancer/dataplane/certs"
	"github.com/truepacs/balancer/internal/conditions"
	"github.com/truepacs/balancer/internal/translate"
)

// Input is what a report is made of.
type Input struct {
	// Balancer is the name of the TruePACSBalancer.
	Balancer string
	// Node is the name of the director.
	Node string
	// Result is what translation decided about the balancer.
	Result translate.BalancerResult
	// Observed is what the agent found.
	Observed agent.Observed
	// Revision is the revision of the model.Node that Result belongs to.
	Revision uint64
	// Previous is the report before this one; times of transitions come from it.
	Previous v1alpha1.TruePACSReportStatus
	// Now is the time of the report.
	Now time.Time
}

// Build makes the report.
func Build(in Input) v1alpha1.TruePACSReportStatus {
	r := v1alpha1.TruePACSReportStatus{
		Balancer:           in.Balancer,
		Node:               in.Node,
		ObservedGeneration: in.Result.Generation,
		VirtualIPs:         virtualIPs(in),
	}
	before := map[string][]metav1.Condition{}
	for _, s := range in.Previous.VirtualServices {
		before[s.Name] = s.Conditions
	}
	programmed := make([]metav1.Condition, 0, len(in.Result.Services))
	for _, s := range in.Result.Services {
		verdict := in.programmed(s)
		programmed = append(programmed, verdict)
		all := append(meta(s.Conditions, in.Result.Generation), verdict)
		r.VirtualServices = append(r.VirtualServices, v1alpha1.VirtualServiceStatus{
			Name:         s.Name,
			Conditions:   conditions.Merge(before[s.Name], all, in.Result.Generation, in.Now),
			Programmed:   s.Programmed,
			Certificates: certificates(s.Certificates),
			ServerStates: in.serverStates(s),
		})
	}
	if c := in.restRefused(); c != nil {
		programmed = append(programmed, *c)
	}
	all := append(meta(in.Result.Conditions, in.Result.Generation), worst(programmed), in.networkSound())
	r.Conditions = conditions.Merge(in.Previous.Conditions, all, in.Result.Generation, in.Now)
	return r
}

// mostCertificates bounds a list; the first to expire come first.
const mostCertificates = 64

func certificates(list []certs.Element) []v1alpha1.CertificateStatus {
	var out []v1alpha1.CertificateStatus
	for _, e := range list[:min(len(list), mostCertificates)] {
		_, secret, _ := strings.Cut(e.Source, "/")
		out = append(out, v1alpha1.CertificateStatus{
			Secret: secret, Kind: v1alpha1.CertificateKind(e.Kind), Subject: e.Subject, NotAfter: e.NotAfter.UTC().Format(time.RFC3339),
		})
	}
	return out
}

func meta(list []translate.Condition, generation int64) []metav1.Condition {
	out := make([]metav1.Condition, 0, len(list)+1)
	for _, c := range list {
		out = append(out, c.Meta(generation))
	}
	return out
}

// worst returns the first condition that is not True; all True: that.
func worst(list []metav1.Condition) metav1.Condition {
	for _, c := range list {
		if c.Status != metav1.ConditionTrue {
			return c
		}
	}
	return programmedTrue
}

func virtualIPs(in Input) []v1alpha1.VirtualIPStatus {
	var list []v1alpha1.VirtualIPStatus
	for _, vip := range in.Result.VirtualIPs {
		status := v1alpha1.VirtualIPStatus{Name: vip.Name}
		if vip.Address.IsValid() {
			status.Address = vip.Address.String()
		}
		if in.holds(vip) {
			status.ActiveNode, status.Interface = in.Node, vip.Interface
		}
		list = append(list, status)
	}
	return list
}

// holds tells whether this node holds the address by what the agent did, not by what is wanted.
func (in Input) holds(vip translate.VirtualIPResult) bool {
	for _, held := range in.Observed.Node.VirtualIPs {
		if held.Address == vip.Address && in.Observed.Refused[held.Key] == nil {
			return in.Result.Active
		}
	}
	return false
}
