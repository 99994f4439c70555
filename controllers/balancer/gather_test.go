package balancer

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/internal/conditions"
)

func TestOf(t *testing.T) {
	owner := []metav1.OwnerReference{{Kind: "ConfigMap", Name: "x"}, {Kind: "TruePACSBalancer", Name: "by-owner"}}
	tests := map[string]struct {
		report v1alpha1.TruePACSReport
		want   string
	}{
		"status first": {v1alpha1.TruePACSReport{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{Label: "by-label"}, OwnerReferences: owner},
			Status:     v1alpha1.TruePACSReportStatus{Balancer: "by-status"}}, "by-status"},
		"then label": {v1alpha1.TruePACSReport{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{Label: "by-label"}, OwnerReferences: owner}}, "by-label"},
		"then owner": {v1alpha1.TruePACSReport{ObjectMeta: metav1.ObjectMeta{OwnerReferences: owner}}, "by-owner"},
		"none":       {v1alpha1.TruePACSReport{}, ""},
	}
	for name, tc := range tests {
		if got := Of(&tc.report); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}

func TestUntilExpiry(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	tests := map[string]struct {
		left []time.Duration
		want time.Duration
	}{
		"no Lease":         {nil, lookAgain},
		"all ran out":      {[]time.Duration{-time.Second, 0}, lookAgain},
		"the first counts": {[]time.Duration{9 * time.Second, 4 * time.Second, -time.Second}, 4*time.Second + 100*time.Millisecond},
		"far away":         {[]time.Duration{time.Hour}, lookAgain},
	}
	for name, tc := range tests {
		in := conditions.Input{Now: now, Leases: map[string]time.Time{}}
		for i, left := range tc.left {
			in.Leases[string(rune('a'+i))] = now.Add(left)
		}
		if got := untilExpiry(in); got != tc.want {
			t.Errorf("%s: got %s, want %s", name, got, tc.want)
		}
	}
}
