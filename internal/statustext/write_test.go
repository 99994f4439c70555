package statustext_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/internal/statustext"
)

func condition(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: "says " + reason}
}

func TestCausesComeFirst(t *testing.T) {
	for name, tc := range map[string]struct {
		conditions []metav1.Condition
		want       []string
		not        string
	}{
		"well": {
			[]metav1.Condition{condition(v1alpha1.ConditionReady, metav1.ConditionTrue, "Ready")},
			[]string{"imaging/radiology  Ready"}, "says Ready",
		},
		"refused": {
			[]metav1.Condition{
				condition(v1alpha1.ConditionAccepted, metav1.ConditionFalse, "PortConflict"),
				condition(v1alpha1.ConditionReady, metav1.ConditionFalse, "Repeated"),
			},
			[]string{"imaging/radiology  NOT READY", "  ! PortConflict: says PortConflict"}, "Repeated",
		},
		"certificates": {
			[]metav1.Condition{
				condition(v1alpha1.ConditionReady, metav1.ConditionTrue, "Ready"),
				condition(v1alpha1.ConditionCertificatesValid, metav1.ConditionTrue, "ExpiresWithin30Days"),
			},
			[]string{"imaging/radiology  Ready", "  ! ExpiresWithin30Days: says ExpiresWithin30Days"}, "says Ready",
		},
		"certificates are well": {
			[]metav1.Condition{condition(v1alpha1.ConditionCertificatesValid, metav1.ConditionTrue, "Valid")},
			[]string{"imaging/radiology"}, "says Valid",
		},
		"another host knows": {
			[]metav1.Condition{
				condition(v1alpha1.ConditionProgrammed, metav1.ConditionUnknown, "DirectorElsewhere"),
				condition(v1alpha1.ConditionServersHealthy, metav1.ConditionUnknown, "DirectorElsewhere"),
				condition(v1alpha1.ConditionReady, metav1.ConditionUnknown, "DirectorElsewhere"),
			},
			[]string{"imaging/radiology  NOT KNOWN", "  ? DirectorElsewhere: says DirectorElsewhere", "  SERVICE"}, "!",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := v1alpha1.TruePACSBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: "imaging", Name: "radiology"}}
			b.Status.Conditions = tc.conditions
			var out strings.Builder
			if err := statustext.Write(&out, []v1alpha1.TruePACSBalancer{b}, nil); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(out.String(), "\n")
			for i, want := range tc.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("line %d is %q, want %q", i+1, lines[i], want)
				}
			}
			if strings.Contains(out.String(), tc.not) {
				t.Errorf("says %q:\n%s", tc.not, out.String())
			}
		})
	}
}

func TestDrainIsShown(t *testing.T) {
	b := v1alpha1.TruePACSBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: "imaging", Name: "radiology"}}
	b.Status.VirtualServices = []v1alpha1.VirtualServiceStatus{{Name: "dicom", ServerStates: []v1alpha1.ServerState{
		{ServerPool: "archive", Name: "pacs-a", Health: v1alpha1.HealthHealthy, State: v1alpha1.ServerActive},
		{ServerPool: "archive", Name: "pacs-b", Health: v1alpha1.HealthHealthy, State: v1alpha1.ServerDraining, Reason: "Draining", Message: "25 connections are left."},
	}}}
	var out strings.Builder
	if err := statustext.Write(&out, []v1alpha1.TruePACSBalancer{b}, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"  SERVICE  POOL     SERVER  STATE     HEALTH   WHY",
		"  dicom    archive  pacs-a  Active    Healthy  ",
		"  dicom    archive  pacs-b  Draining  Healthy  Draining: 25 connections are left.",
	} {
		if !strings.Contains(out.String(), want+"\n") {
			t.Errorf("no line %q:\n%s", want, out.String())
		}
	}
}

// TestCertificatesAreListed with their ends, below the servers.
func TestCertificatesAreListed(t *testing.T) {
	b := v1alpha1.TruePACSBalancer{}
	b.Status.VirtualServices = []v1alpha1.VirtualServiceStatus{{Name: "viewer", Certificates: []v1alpha1.CertificateStatus{
		{Secret: "viewer-tls", Kind: "Certificate", Subject: "viewer.example.org", NotAfter: "2027-01-01T00:00:00Z"},
		{Secret: "clients", Kind: "RevocationList", Subject: "Hospital CA", NotAfter: "2027-02-01T00:00:00Z"},
	}}}
	var out strings.Builder
	if err := statustext.Write(&out, []v1alpha1.TruePACSBalancer{b}, nil); err != nil {
		t.Fatal(err)
	}
	const want = `  SERVICE  SECRET      KIND            SUBJECT             EXPIRES
  viewer   viewer-tls  Certificate     viewer.example.org  2027-01-01T00:00:00Z
  viewer   clients     RevocationList  Hospital CA         2027-02-01T00:00:00Z
`
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("got\n%s\nwant at its end\n%s", out.String(), want)
	}
	b.Status.VirtualServices[0].Certificates = nil
	out.Reset()
	if err := statustext.Write(&out, []v1alpha1.TruePACSBalancer{b}, nil); err != nil || strings.Contains(out.String(), "EXPIRES") {
		t.Errorf("%v: a list of nothing:\n%s", err, out.String())
	}
}
