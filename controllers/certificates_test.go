package controllers_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// TestCertificatesInStatus: what a director says of certificates is in the balancer's status and told as events, and Ready does not
// depend on it.
func TestCertificatesInStatus(t *testing.T) {
	operator(t)
	node(t, "node-1", director())
	b := create(t, namespace(t), "radiology")
	eventually(t, "the service ends TLS", func(ctx context.Context) error {
		next, err := fetch(ctx, b)
		if err != nil {
			return err
		}
		service := &next.Spec.VirtualServices[0]
		service.Mode, service.Layer7 = v1alpha1.ModeL7SNAT, &v1alpha1.Layer7{Application: v1alpha1.ApplicationHTTP, TLS: &v1alpha1.ListenerTLS{
			CertificateRefs: []v1alpha1.SecretReference{{Name: "viewer-tls"}},
			ServerNames:     []string{"viewer.example.org", "*.example.org", "2001:db8::64"},
			CipherSuites:    []string{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
			ClientCertificates: &v1alpha1.ClientCertificates{
				Mode: v1alpha1.ClientCertificateRequired, CARef: v1alpha1.SecretKeyReference{Kind: v1alpha1.KindSecret, Name: "clients", Key: "ca.crt"},
				CRLRef: &v1alpha1.SecretKeyReference{Name: "clients"},
			},
		}}
		if err := cluster.admin.Update(ctx, next); err != nil {
			return err
		}
		b = next
		return nil
	})
	a := newAgent(t, "node-1")
	a.renew(t)
	inUse := []v1alpha1.CertificateStatus{
		{Secret: "viewer-tls", Kind: "Certificate", Subject: "viewer.example.org", NotAfter: "2027-01-01T00:00:00Z"},
		{Secret: "clients", Kind: "RevocationList", Subject: "Clients", NotAfter: "2027-02-01T00:00:00Z"},
	}
	report := func(status metav1.ConditionStatus, reason string) {
		t.Helper()
		conditions := append(allWell(b.Generation), metav1.Condition{
			Type: v1alpha1.ConditionCertificatesValid, Status: status, Reason: reason, Message: "Says " + reason + ".",
			ObservedGeneration: b.Generation, LastTransitionTime: metav1.Now(),
		})
		a.write(t, b, v1alpha1.TruePACSReportStatus{
			Balancer: b.Name, Node: "node-1", ObservedGeneration: b.Generation, Conditions: conditions,
			VirtualServices: []v1alpha1.VirtualServiceStatus{{Name: "dicom", Conditions: conditions, Certificates: inUse}},
		})
	}
	report(isFalse, v1alpha1.ReasonExpiresWithin7Days)
	got := expect(t, b, v1alpha1.ConditionCertificatesValid, isFalse, v1alpha1.ReasonExpiresWithin7Days)
	if diff := cmp.Diff(inUse, got.Status.VirtualServices[0].Certificates); diff != "" {
		t.Errorf("certificates (-want +got):\n%s", diff)
	}
	told(t, b.Namespace, b.Name, v1alpha1.ReasonExpiresWithin7Days)
	expect(t, b, v1alpha1.ConditionReady, isTrue, v1alpha1.ReasonReady)
	report(isTrue, v1alpha1.ReasonExpiresWithin30Days)
	expect(t, b, v1alpha1.ConditionCertificatesValid, isTrue, v1alpha1.ReasonExpiresWithin30Days)
	told(t, b.Namespace, b.Name, v1alpha1.ReasonExpiresWithin30Days)
	report(isTrue, v1alpha1.ReasonValid)
	expect(t, b, v1alpha1.ConditionCertificatesValid, isTrue, v1alpha1.ReasonValid)
	told(t, b.Namespace, b.Name, v1alpha1.ReasonValid)
}
