package conditions

import (
	"fmt"
	"hash/fnv"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// Reasons of events that are not reasons of conditions.
const (
	// EventServerDown: a server's checks began to fail.
	EventServerDown = "ServerDown"
	// EventServerUp: a server that was down passes its checks again.
	EventServerUp = "ServerUp"
)

// Limits of an event: the note's length in bytes (events.k8s.io allows 1024), and how many
// servers one change of status may speak of.
const (
	maxNote         = 1024
	maxServerEvents = 16
)

// Transition is a change of status that deserves an event.
type Transition struct {
	// Warning says that it is bad news.
	Warning bool
	// Reason is one word for machines.
	Reason string
	// Note is a sentence for people, at most 1024 bytes.
	Note string
}

// Transitions are the changes of readiness, of what is found on the network, of certificates and of server health from one
// status to the next.
// Seeing something for the first time is an event only when the news is final: Ready, stuck or
// down.
func Transitions(before, after v1alpha1.TruePACSBalancerStatus) []Transition {
	var out []Transition
	if t := readiness(before, after); t != nil {
		out = append(out, *t)
	}
	if t := network(before, after); t != nil {
		out = append(out, *t)
	}
	if t := certificates(before, after); t != nil {
		out = append(out, *t)
	}
	return append(out, serverChanges(newTally(before.VirtualServices), newTally(after.VirtualServices))...)
}

func readiness(before, after v1alpha1.TruePACSBalancerStatus) *Transition {
	old := meta.FindStatusCondition(before.Conditions, v1alpha1.ConditionReady)
	now := meta.FindStatusCondition(after.Conditions, v1alpha1.ConditionReady)
	if now == nil || (old != nil && old.Status == now.Status && old.Reason == now.Reason) {
		return nil
	}
	if now.Status == metav1.ConditionUnknown && (old == nil || old.Status == metav1.ConditionUnknown) {
		return nil
	}
	return &Transition{Warning: now.Status != metav1.ConditionTrue, Reason: now.Reason, Note: Note(now.Message)}
}

// network: something was found, something else, or nothing any more.
func network(before, after v1alpha1.TruePACSBalancerStatus) *Transition {
	old := meta.FindStatusCondition(before.Conditions, v1alpha1.ConditionNetworkSound)
	now := meta.FindStatusCondition(after.Conditions, v1alpha1.ConditionNetworkSound)
	was := old != nil && old.Status == metav1.ConditionFalse
	switch {
	case now == nil, now.Status == metav1.ConditionUnknown, was && now.Status == metav1.ConditionFalse && old.Reason == now.Reason:
		return nil
	case now.Status == metav1.ConditionFalse && now.Reason != v1alpha1.ReasonNoDirector:
		return &Transition{Warning: true, Reason: now.Reason, Note: Note(now.Message)}
	case was && old.Reason != v1alpha1.ReasonNoDirector:
		return &Transition{Reason: now.Reason, Note: Note(now.Message)}
	}
	return nil
}

// certificates: one needs something to be done, something else, or nothing any more.
func certificates(before, after v1alpha1.TruePACSBalancerStatus) *Transition {
	old := meta.FindStatusCondition(before.Conditions, v1alpha1.ConditionCertificatesValid)
	now := meta.FindStatusCondition(after.Conditions, v1alpha1.ConditionCertificatesValid)
	was := old != nil && CertificatesAsk(*old)
	switch {
	case now == nil, now.Status == metav1.ConditionUnknown, was && old.Message == now.Message:
		return nil
	case CertificatesAsk(*now):
		return &Transition{Warning: true, Reason: now.Reason, Note: Note(now.Message)}
	case was:
		return &Transition{Reason: now.Reason, Note: Note(now.Message)}
	}
	return nil
}

// CertificatesAsk tells whether the condition CertificatesValid asks the administrator to do something.
func CertificatesAsk(c metav1.Condition) bool {
	switch c.Reason {
	case v1alpha1.ReasonExpiresWithin30Days:
		return true
	case v1alpha1.ReasonNoDirector:
		return false
	}
	return c.Status == metav1.ConditionFalse
}

func serverChanges(before, after tally) []Transition {
	var out []Transition
	more := 0
	for _, key := range after.order {
		t := serverChange(before.worst[key].Health, after.worst[key])
		switch {
		case t == nil:
		case len(out) == maxServerEvents:
			more++
		default:
			out = append(out, *t)
		}
	}
	if more > 0 {
		out = append(out, Transition{Warning: true, Reason: EventServerDown, Note: count(more, "more servers changed, see status.virtualServices[].serverStates.")})
	}
	return out
}

func serverChange(before v1alpha1.Health, after v1alpha1.ServerState) *Transition {
	who := fmt.Sprintf("Server %s of pool %s", after.Name, after.ServerPool)
	switch {
	case after.Health == v1alpha1.HealthUnhealthy && before != v1alpha1.HealthUnhealthy:
		return &Transition{Warning: true, Reason: EventServerDown, Note: Note(who + " is down: " + sentence(detail(after)))}
	case after.Health == v1alpha1.HealthHealthy && before == v1alpha1.HealthUnhealthy:
		return &Transition{Reason: EventServerUp, Note: who + " passes its checks again."}
	}
	return nil
}

// Note cuts text to the 1024 bytes that an event may carry, at a character's border.
func Note(text string) string {
	for limit := maxNote; len(text) > maxNote; limit -= 16 {
		text = shorten(text, limit)
	}
	return text
}

// Action is the action of an event: the verb and a mark of the note. The recorder counts events
// of the same object, reason and action as one, under the first one's note; without the mark the
// fall of a second server would be told as the first one's again.
func Action(verb, note string) string {
	mark := fnv.New32a()
	_, _ = mark.Write([]byte(note))
	return fmt.Sprintf("%s-%08x", verb, mark.Sum32())
}
