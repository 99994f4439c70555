package conditions

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// lasting are the reasons that no retry can mend: the spec, the labels of nodes or a node itself
// must change.
func lasting() []string {
	return []string{
		v1alpha1.ReasonInvalidField,
		v1alpha1.ReasonAddressInUse,
		v1alpha1.ReasonPortConflict,
		v1alpha1.ReasonDirectorConflict,
		v1alpha1.ReasonNoDirector,
		v1alpha1.ReasonTooManyDirectors,
		v1alpha1.ReasonModuleMissing,
		v1alpha1.ReasonInstallationConflict,
	}
}

// ready is true when all three causes are; else it repeats the first cause that is false, else
// the first that is unknown. Servers that are down are another matter and only mentioned.
func (s *scope) ready(accepted, resolved, programmed, servers metav1.Condition) metav1.Condition {
	causes := []metav1.Condition{accepted, resolved, programmed}
	for _, status := range []metav1.ConditionStatus{metav1.ConditionFalse, metav1.ConditionUnknown} {
		for _, c := range causes {
			if c.Status == status {
				return New(v1alpha1.ConditionReady, status, c.Reason, c.Type+" is "+string(status)+": "+c.Message)
			}
		}
	}
	message := fmt.Sprintf("Generation %d of the spec is at work on %s.", s.Balancer.Generation, names(s.reachable()))
	if servers.Status == metav1.ConditionFalse {
		message += " Servers are down, see the condition ServersHealthy."
	}
	return New(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady, message)
}

// stalled is true when a cause is false for a reason that lasts (kstatus: Failed).
func stalled(causes ...metav1.Condition) metav1.Condition {
	for _, c := range causes {
		if c.Status == metav1.ConditionFalse && slices.Contains(lasting(), c.Reason) {
			return New(v1alpha1.ConditionStalled, metav1.ConditionTrue, c.Reason, "Waiting does not help: "+c.Message)
		}
	}
	return New(v1alpha1.ConditionStalled, metav1.ConditionFalse, "NotStalled", "Nothing needs a change by hand to go on.")
}

// reconciling is true while the balancer is not ready but may become so by itself (kstatus:
// InProgress).
func reconciling(ready, stalled metav1.Condition) metav1.Condition {
	if ready.Status == metav1.ConditionTrue || stalled.Status == metav1.ConditionTrue {
		return New(v1alpha1.ConditionReconciling, metav1.ConditionFalse, "Idle", "No work is under way.")
	}
	return New(v1alpha1.ConditionReconciling, metav1.ConditionTrue, ready.Reason, ready.Message)
}
