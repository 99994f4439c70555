package conditions

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxMessage bounds the message of a condition in characters. The API allows 32768; nobody reads
// more than this.
const maxMessage = 4096

// New makes a condition without times; Merge adds them. The message is cut at 4096 characters.
func New(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: shorten(message, maxMessage)}
}

// Merge returns the conditions of next, in the order of next, each with lastTransitionTime taken
// from the condition of that type in previous when the status is the same, else now. A
// condition of next that has no observedGeneration gets generation. Conditions that are only in
// previous are dropped: next is the whole set.
func Merge(previous, next []metav1.Condition, generation int64, now time.Time) []metav1.Condition {
	merged := make([]metav1.Condition, 0, len(next))
	for _, c := range next {
		if c.ObservedGeneration == 0 {
			c.ObservedGeneration = generation
		}
		c.LastTransitionTime = metav1.NewTime(now.Truncate(time.Second))
		if old := meta.FindStatusCondition(previous, c.Type); old != nil && old.Status == c.Status && !old.LastTransitionTime.IsZero() {
			c.LastTransitionTime = old.LastTransitionTime
		}
		merged = append(merged, c)
	}
	return merged
}

// shorten cuts text to at most limit characters and ends it with an ellipsis when it was longer.
func shorten(text string, limit int) string {
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return string(runes[:limit-1]) + "…"
}
