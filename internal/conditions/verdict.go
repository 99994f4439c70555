package conditions

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// verdict is the outcome of one step of a decision; nil leaves it to the next step.
type verdict struct {
	status  metav1.ConditionStatus
	reason  string
	message string
}

type step func(*scope) *verdict

// decide takes the verdict of the first step that has one. The last step always has.
func (s *scope) decide(kind string, steps ...step) metav1.Condition {
	for _, step := range steps {
		if v := step(s); v != nil {
			return New(kind, v.status, v.reason, v.message)
		}
	}
	return New(kind, metav1.ConditionUnknown, v1alpha1.ReasonPending, "Nothing is known yet.")
}

func yes(reason, format string, args ...any) *verdict {
	return &verdict{metav1.ConditionTrue, reason, fmt.Sprintf(format, args...)}
}

func no(reason, format string, args ...any) *verdict {
	return &verdict{metav1.ConditionFalse, reason, fmt.Sprintf(format, args...)}
}

func unknown(reason, format string, args ...any) *verdict {
	return &verdict{metav1.ConditionUnknown, reason, fmt.Sprintf(format, args...)}
}

// reported is a step that looks for one condition in the current reports and takes it when its
// status is as given. Several directors' messages are joined.
func reported(kind string, status metav1.ConditionStatus) step {
	return func(s *scope) *verdict {
		var reason string
		var messages []string
		for _, d := range s.current() {
			c := meta.FindStatusCondition(d.report.Conditions, kind)
			if c == nil || c.Status != status {
				continue
			}
			if reason == "" {
				reason = c.Reason
			}
			messages = append(messages, "Director "+d.name+": "+sentence(c.Message))
		}
		if reason == "" {
			return nil
		}
		return &verdict{status, reason, strings.Join(messages, " ")}
	}
}

// sentence gives a message its full stop.
func sentence(text string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return "no reason was given."
	}
	if strings.ContainsAny(text[len(text)-1:], ".!?:") || strings.HasSuffix(text, "…") {
		return text
	}
	return text + "."
}

func count(n int, what string) string { return fmt.Sprintf("%d %s", n, what) }
