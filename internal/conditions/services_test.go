package conditions_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/internal/conditions"
)

func TestFoldSaysWhoHoldsAnAddress(t *testing.T) {
	got := conditions.Fold(working())
	want := []v1alpha1.VirtualIPStatus{{Name: "main", Address: "192.0.2.100", ActiveNode: "node-1", Interface: "eth0"}}
	if diff := cmp.Diff(want, got.VirtualIPs); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	in := working()
	in.Leases["node-1"] = now().Add(-time.Second)
	if got := conditions.Fold(in); got.VirtualIPs[0].ActiveNode != "" {
		t.Errorf("a silent director counts as holder: %+v", got.VirtualIPs)
	}
}

func TestFoldTakesTheHoldersView(t *testing.T) {
	in := working()
	in.Reports = append(in.Reports, goodReport("node-0"))
	in.Reports[1].Status.VirtualIPs[0].ActiveNode = ""
	in.Reports[1].Status.VirtualServices[0].ServerStates[1] = down("archive", "pacs-b")
	in.Leases["node-0"] = now().Add(time.Second)
	in.Directors = append(in.Directors, "node-0")

	state := conditions.Fold(in).VirtualServices[0].ServerStates[1]
	if state.Health != v1alpha1.HealthHealthy {
		t.Errorf("the standby's view won: %+v", state)
	}
	if want := "Director node-0 sees it Unhealthy: C-ECHO rejected 1/1/7"; !strings.Contains(state.Message, want) {
		t.Errorf("disagreement is not shown: %q", state.Message)
	}
}

func TestFoldListsEveryServerOfEveryPoolOfAService(t *testing.T) {
	in := working()
	viewer := &in.Reports[0].Status.VirtualServices[1]
	viewer.ServerStates = append(viewer.ServerStates[:1], healthy("archive", "pacs-old"))
	var got []string
	for _, state := range conditions.Fold(in).VirtualServices[1].ServerStates {
		got = append(got, fmt.Sprintf("%s/%s %s %s", state.ServerPool, state.Name, state.Health, state.Reason))
	}
	want := []string{"web/pacs-a Healthy ", "archive/pacs-a Unknown Pending", "archive/pacs-b Unknown Pending", "archive/pacs-old Healthy "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestFoldGivesServicesTheirConditions(t *testing.T) {
	in := working()
	in.Reports[0].Status.VirtualServices[0].Conditions[2] = condition("Programmed", isFalse, "KeptLastGood", "port 104 was refused, 11112 goes on")
	in.Reports[0].Status.VirtualServices = in.Reports[0].Status.VirtualServices[:1]
	got := conditions.Fold(in)
	if c := got.VirtualServices[0].Conditions[2]; c.Status != isFalse || c.Reason != "KeptLastGood" || c.Message != "port 104 was refused, 11112 goes on" {
		t.Errorf("dicom: %+v", c)
	}
	for _, c := range got.VirtualServices[1].Conditions {
		if c.Status != isUnknown || c.Reason != v1alpha1.ReasonPending {
			t.Errorf("viewer: %+v", c)
		}
	}
	if len(got.VirtualServices[1].Conditions) != 4 {
		t.Errorf("viewer has %d conditions", len(got.VirtualServices[1].Conditions))
	}
}

// TestFoldDoesNotCallANewServiceProgrammed: what an old report says of a service is not said of
// the new spec, because conflicts between balancers are settled by what is programmed.
func TestFoldDoesNotCallANewServiceProgrammed(t *testing.T) {
	in := working()
	in.Reports[0].Status.ObservedGeneration = 6
	got := conditions.Fold(in).VirtualServices[0]
	for _, c := range got.Conditions {
		if c.Status != isUnknown || c.Reason != v1alpha1.ReasonPending || !strings.Contains(c.Message, "still does what generation 6") {
			t.Errorf("%+v", c)
		}
	}
	if got.ServerStates[0].Health != v1alpha1.HealthHealthy {
		t.Errorf("the servers' health was forgotten: %+v", got.ServerStates[0])
	}
}

func TestFoldKeepsToTheLimitsOfTheAPI(t *testing.T) {
	in := working()
	in.Balancer.Spec.ServerPools, in.Balancer.Spec.VirtualServices[1].Layer7.HTTP.Routes = nil, nil
	report := &in.Reports[0].Status.VirtualServices[0]
	report.ServerStates = nil
	for p := range 20 {
		pool := v1alpha1.ServerPool{Name: fmt.Sprintf("pool-%d", p)}
		for n := range 64 {
			name := fmt.Sprintf("server-%d", n)
			pool.Servers = append(pool.Servers, v1alpha1.Server{Name: name, Address: fmt.Sprintf("192.0.%d.%d", p, n)})
			state := down(pool.Name, name)
			state.Message = strings.Repeat("ü", 2000)
			report.ServerStates = append(report.ServerStates, state)
		}
		in.Balancer.Spec.ServerPools = append(in.Balancer.Spec.ServerPools, pool)
	}
	in.Balancer.Spec.VirtualServices[0].ServerPool = "pool-0"
	got := conditions.Fold(in)
	if n := len(got.VirtualServices[0].ServerStates); n != 1024 {
		t.Errorf("%d server states, the API takes 1024", n)
	}
	if n := len([]rune(got.VirtualServices[0].ServerStates[0].Message)); n != 1024 {
		t.Errorf("a server's message has %d characters, the API takes 1024", n)
	}
	if n := len([]rune(got.Conditions[3].Message)); n > 4096 {
		t.Errorf("a condition's message has %d characters", n)
	}
	events := conditions.Transitions(v1alpha1.TruePACSBalancerStatus{}, got)
	if len(events) != 18 {
		t.Errorf("%d events at once", len(events))
	}
	for _, e := range events {
		if len(e.Note) > 1024 || !utf8.ValidString(e.Note) {
			t.Errorf("a note has %d bytes, the API takes 1024", len(e.Note))
		}
	}
}

func TestMergeKeepsTheTimeOfTheLastTransition(t *testing.T) {
	before := []metav1.Condition{
		{Type: "Ready", Status: isTrue, Reason: "Ready", LastTransitionTime: metav1.NewTime(now().Add(-time.Hour))},
		{Type: "Gone", Status: isTrue, Reason: "Gone"},
	}
	tests := map[string]struct {
		next metav1.Condition
		want time.Time
	}{
		"same status":            {condition("Ready", isTrue, "Other", "new words"), now().Add(-time.Hour)},
		"other status":           {condition("Ready", isFalse, "Ready", ""), now()},
		"new condition":          {condition("New", isTrue, "New", ""), now()},
		"no time was kept (bug)": {condition("Gone", isTrue, "Gone", ""), now()},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := conditions.Merge(before, []metav1.Condition{tc.next}, 3, now().Add(700*time.Millisecond))
			if len(got) != 1 || !got[0].LastTransitionTime.Time.Equal(tc.want) || got[0].ObservedGeneration != 3 || got[0].Reason != tc.next.Reason {
				t.Errorf("got %+v, want time %v", got, tc.want)
			}
		})
	}
}
