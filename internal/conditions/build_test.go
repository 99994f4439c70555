package conditions_test

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/internal/conditions"
)

// now is any time; whole seconds, as the API stores them.
func now() time.Time { return time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC) }

// radiology is a balancer of generation 7 with one address, two pools that share machines, a
// layer 4 service and a layer 7 service with a route.
func radiology() *v1alpha1.TruePACSBalancer {
	servers := []v1alpha1.Server{{Name: "pacs-a", Address: "192.0.2.11"}, {Name: "pacs-b", Address: "192.0.2.12"}}
	return &v1alpha1.TruePACSBalancer{
		ObjectMeta: metav1.ObjectMeta{Namespace: "imaging", Name: "radiology", Generation: 7},
		Spec: v1alpha1.TruePACSBalancerSpec{
			VirtualIPs: []v1alpha1.VirtualIP{{Name: "main", Address: "192.0.2.100"}},
			ServerPools: []v1alpha1.ServerPool{
				{Name: "archive", Servers: servers},
				{Name: "web", Servers: servers[:1]},
			},
			VirtualServices: []v1alpha1.VirtualService{
				{Name: "dicom", VirtualIPs: []string{"main"}, Mode: v1alpha1.ModeL4DR, Ports: []int32{104, 11112}, ServerPool: "archive"},
				{Name: "viewer", VirtualIPs: []string{"main"}, Mode: v1alpha1.ModeL7SNAT, Ports: []int32{443}, ServerPool: "web", Layer7: &v1alpha1.Layer7{
					Application: v1alpha1.ApplicationHTTP,
					TLS:         &v1alpha1.ListenerTLS{CertificateRefs: []v1alpha1.SecretReference{{Name: "viewer-tls"}}},
					HTTP:        &v1alpha1.HTTPSettings{Routes: []v1alpha1.HTTPRoute{{Name: "all", ServerPool: "archive"}}},
				}},
			},
		},
	}
}

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

func fine() []metav1.Condition {
	return []metav1.Condition{
		condition(v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted, "Fine."),
		condition(v1alpha1.ConditionResolvedRefs, metav1.ConditionTrue, v1alpha1.ReasonResolved, "Fine."),
		condition(v1alpha1.ConditionProgrammed, metav1.ConditionTrue, v1alpha1.ReasonProgrammed, "Fine."),
		condition(v1alpha1.ConditionCertificatesValid, metav1.ConditionTrue, v1alpha1.ReasonValid, "Fine."),
	}
}

func healthy(pool, name string) v1alpha1.ServerState {
	return v1alpha1.ServerState{ServerPool: pool, Name: name, Health: v1alpha1.HealthHealthy, State: "Active"}
}

func down(pool, name string) v1alpha1.ServerState {
	return v1alpha1.ServerState{ServerPool: pool, Name: name, Health: v1alpha1.HealthUnhealthy, State: "Active",
		Reason: "Rejected", Message: "C-ECHO rejected 1/1/7: write the AE title the PACS knows into calledAETitle"}
}

// goodReport is a report of node on generation 7 that holds the address and finds all well.
func goodReport(node string) v1alpha1.TruePACSReport {
	return v1alpha1.TruePACSReport{Status: v1alpha1.TruePACSReportStatus{
		Balancer: "radiology", Node: node, ObservedGeneration: 7, Conditions: fine(),
		VirtualIPs: []v1alpha1.VirtualIPStatus{{Name: "main", Address: "192.0.2.100", ActiveNode: node, Interface: "eth0"}},
		VirtualServices: []v1alpha1.VirtualServiceStatus{
			{Name: "dicom", Conditions: fine(), ServerStates: []v1alpha1.ServerState{healthy("archive", "pacs-a"), healthy("archive", "pacs-b")}},
			{Name: "viewer", Conditions: fine(), ServerStates: []v1alpha1.ServerState{healthy("web", "pacs-a"), healthy("archive", "pacs-a"), healthy("archive", "pacs-b")}},
		},
	}}
}

// working is the input of a balancer whose one director does all that the spec says.
func working() conditions.Input {
	accepted := condition(v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted, "The spec is consistent.")
	return conditions.Input{
		Balancer:  radiology(),
		Accepted:  &accepted,
		Directors: []string{"node-1"},
		Reports:   []v1alpha1.TruePACSReport{goodReport("node-1")},
		Leases:    map[string]time.Time{"node-1": now().Add(10 * time.Second)},
		Now:       now(),
	}
}

// setReport changes a condition of the first report.
func setReport(in *conditions.Input, c metav1.Condition) {
	for i, old := range in.Reports[0].Status.Conditions {
		if old.Type == c.Type {
			in.Reports[0].Status.Conditions[i] = c
		}
	}
}
