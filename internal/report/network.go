package report

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/internal/conditions"
)

// mostFindings bounds a message; the gravest come first.
const mostFindings = 8

// networkSound tells what the survey found that concerns this balancer. Advice alone leaves the
// condition true, in words.
func (in Input) networkSound() metav1.Condition {
	if in.Observed.Findings == nil {
		return conditions.New(v1alpha1.ConditionNetworkSound, metav1.ConditionUnknown, v1alpha1.ReasonPending,
			"The director has not looked at its network yet; it does within seconds.")
	}
	status, reason := metav1.ConditionTrue, v1alpha1.ReasonSound
	var says []string
	for _, f := range in.Observed.Findings {
		if !in.concerns(f) {
			continue
		}
		says = append(says, f.Message)
		if !f.Advice && status == metav1.ConditionTrue {
			status, reason = metav1.ConditionFalse, f.Reason
		}
	}
	if len(says) == 0 {
		says = []string{"Nothing on this host or its network was found that stands in the way."}
	}
	says = slices.Compact(says)
	return conditions.New(v1alpha1.ConditionNetworkSound, status, reason, strings.Join(says[:min(len(says), mostFindings)], " "))
}

// concerns tells whether a finding is about something of this balancer, or about the whole host.
func (in Input) concerns(f model.Finding) bool {
	if f.Key == "" {
		return true
	}
	for _, v := range in.Result.VirtualIPs {
		if v.Key == f.Key {
			return true
		}
	}
	for _, s := range in.Result.Services {
		if s.Key == f.Key || s.ModelKey == f.Key {
			return true
		}
	}
	return false
}
