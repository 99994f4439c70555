package agent

import (
	"maps"
	"reflect"

	"github.com/truepacs/balancer/dataplane/model"
)

// sameObserved tells whether two passes found the same, Findings left out, which a survey tells of.
// A Node is the same if its revision is.
func sameObserved(a, b Observed) bool {
	return a.Revision == b.Revision && sameError(a.Failure, b.Failure) &&
		maps.EqualFunc(a.Refused, b.Refused, sameRefusal) &&
		maps.Equal(a.Leaving, b.Leaving) &&
		reflect.DeepEqual(a.Verdicts, b.Verdicts) && reflect.DeepEqual(a.Proxy, b.Proxy)
}

// sameError compares what administrators read.
func sameError(a, b error) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Error() == b.Error()
}

func sameRefusal(a, b *model.ItemError) bool { return a.Reason == b.Reason && sameError(a, b) }
