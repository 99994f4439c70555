package translate

import (
	"fmt"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// Refusal says why a service cannot be programmed as its spec says.
type Refusal struct {
	// Condition is the type of the condition that turns False: Accepted or ResolvedRefs.
	Condition string
	// Reason is one of the reasons in api/v1alpha1.
	Reason string
	// Message names the field and says what to write instead.
	Message string
	// Pending says that it is not known yet: the condition is Unknown.
	Pending bool
}

func refusef(reason, format string, args ...any) *Refusal {
	return &Refusal{Condition: v1alpha1.ConditionAccepted, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func unresolvedf(reason, format string, args ...any) *Refusal {
	return &Refusal{Condition: v1alpha1.ConditionResolvedRefs, Reason: reason, Message: fmt.Sprintf(format, args...)}
}
