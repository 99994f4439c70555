package conditions_test

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/internal/conditions"
)

func certificates(status metav1.ConditionStatus, reason string) metav1.Condition {
	return condition(v1alpha1.ConditionCertificatesValid, status, reason, "Secret "+reason+".")
}

// withCertificates is a working balancer of whose certificates a director says this.
func withCertificates(c *metav1.Condition) conditions.Input {
	in := working()
	meta.RemoveStatusCondition(&in.Reports[0].Status.Conditions, v1alpha1.ConditionCertificatesValid)
	if c != nil {
		in.Reports[0].Status.Conditions = append(in.Reports[0].Status.Conditions, *c)
	}
	return in
}

func TestCertificates(t *testing.T) {
	fine := certificates(isTrue, v1alpha1.ReasonValid)
	soon := certificates(isTrue, v1alpha1.ReasonExpiresWithin30Days)
	urgent := certificates(isFalse, v1alpha1.ReasonExpiresWithin7Days)
	open := certificates(isUnknown, v1alpha1.ReasonPending)
	for name, tc := range map[string]struct {
		said   *metav1.Condition
		change func(*conditions.Input)
		want   row
		says   string
	}{
		"not looked at":    {nil, nil, row{isUnknown, "Pending"}, "No director has looked"},
		"fine":             {&fine, nil, row{isTrue, "Valid"}, "Director node-1: Secret Valid."},
		"soon":             {&soon, nil, row{isTrue, "ExpiresWithin30Days"}, "ExpiresWithin30Days."},
		"urgent":           {&urgent, nil, row{isFalse, "ExpiresWithin7Days"}, "ExpiresWithin7Days."},
		"nothing in use":   {&open, nil, row{isUnknown, "Pending"}, "Secret Pending."},
		"director silent":  {&urgent, foldCases()["director silent"].change, row{isUnknown, "DirectorSilent"}, "Lease"},
		"no TLS":           {nil, func(in *conditions.Input) { in.Balancer.Spec.VirtualServices[1].Layer7.TLS = nil }, row{isTrue, "Valid"}, "names no certificate"},
		"an older spec's":  {&fine, func(in *conditions.Input) { in.Reports[0].Status.ObservedGeneration = 6 }, row{isUnknown, "Pending"}, "under way"},
		"director not one": {&fine, foldCases()["no director"].change, row{isFalse, "NoDirector"}, "Accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			in := withCertificates(tc.said)
			if tc.change != nil {
				tc.change(&in)
			}
			got := conditions.Fold(in)
			c := meta.FindStatusCondition(got.Conditions, v1alpha1.ConditionCertificatesValid)
			if c == nil || (row{c.Status, c.Reason}) != tc.want || !strings.Contains(c.Message, tc.says) {
				t.Errorf("got %+v", c)
			}
			if tc.change == nil && !meta.IsStatusConditionTrue(got.Conditions, v1alpha1.ConditionReady) {
				t.Error("a certificate makes the balancer not ready")
			}
		})
	}
}

// TestCertificatesAreTold: once when something is to be done, and when nothing is any more.
func TestCertificatesAreTold(t *testing.T) {
	status := func(c metav1.Condition) v1alpha1.TruePACSBalancerStatus { return conditions.Fold(withCertificates(&c)) }
	fine := status(certificates(isTrue, v1alpha1.ReasonValid))
	soon := status(certificates(isTrue, v1alpha1.ReasonExpiresWithin30Days))
	urgent := status(certificates(isFalse, v1alpha1.ReasonExpiresWithin7Days))
	open := status(certificates(isUnknown, v1alpha1.ReasonPending))
	for _, tc := range []struct {
		name          string
		before, after v1alpha1.TruePACSBalancerStatus
		want          []string
	}{
		{"soon", fine, soon, []string{"Warning ExpiresWithin30Days"}},
		{"still soon", soon, soon, nil},
		{"urgent", soon, urgent, []string{"Warning ExpiresWithin7Days"}},
		{"renewed", urgent, fine, []string{"Normal Valid"}},
		{"not known", urgent, open, nil},
		{"known again", open, urgent, []string{"Warning ExpiresWithin7Days"}},
		{"well", open, fine, nil},
	} {
		var got []string
		for _, e := range conditions.Transitions(tc.before, tc.after) {
			got = append(got, map[bool]string{true: "Warning ", false: "Normal "}[e.Warning]+e.Reason)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// TestCertificatesOfAService: what its director has in use, with the condition.
func TestCertificatesOfAService(t *testing.T) {
	in := working()
	in.Reports[0].Status.VirtualServices = append(in.Reports[0].Status.VirtualServices, v1alpha1.VirtualServiceStatus{
		Name: "viewer", Conditions: []metav1.Condition{certificates(isTrue, v1alpha1.ReasonValid)},
		Certificates: []v1alpha1.CertificateStatus{{Secret: "viewer-tls", Kind: "Certificate", NotAfter: "2027-01-01T00:00:00Z"}},
	})
	in.Reports[0].Status.VirtualServices = slices.DeleteFunc(in.Reports[0].Status.VirtualServices, func(v v1alpha1.VirtualServiceStatus) bool {
		return v.Name == "viewer" && v.Certificates == nil
	})
	got := conditions.Fold(in).VirtualServices[1]
	if len(got.Certificates) != 1 || got.Certificates[0].Secret != "viewer-tls" || !meta.IsStatusConditionTrue(got.Conditions, v1alpha1.ConditionCertificatesValid) {
		t.Errorf("%+v", got)
	}
}
