package conditions_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/internal/conditions"
)

// resting is a server in maintenance.
func resting(pool, name string) v1alpha1.ServerState {
	return v1alpha1.ServerState{ServerPool: pool, Name: name, Health: v1alpha1.HealthUnknown, State: "Maintenance", Reason: "Maintenance"}
}

// drained is a healthy server that gets no new connections.
func drained(pool, name string) v1alpha1.ServerState {
	return v1alpha1.ServerState{ServerPool: pool, Name: name, Health: v1alpha1.HealthHealthy, State: "Drained", Reason: "Drained"}
}

// withStates is one service of the archive whose servers are in some states.
func withStates(states ...v1alpha1.ServerState) conditions.Input {
	in := working()
	in.Balancer.Spec.VirtualServices = in.Balancer.Spec.VirtualServices[:1]
	in.Reports[0].Status.VirtualServices = in.Reports[0].Status.VirtualServices[:1]
	in.Reports[0].Status.VirtualServices[0].ServerStates = states
	return in
}

func TestMaintenanceCountsForNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		states                  []v1alpha1.ServerState
		status, reason, servers string
		says                    string
	}{
		"one of two":           {[]v1alpha1.ServerState{healthy("archive", "pacs-a"), resting("archive", "pacs-b")}, "True", "AllHealthy", "1/1", "All 1 servers"},
		"the other is down":    {[]v1alpha1.ServerState{down("archive", "pacs-a"), resting("archive", "pacs-b")}, "False", "NoServerLeft", "0/1", "down or in maintenance"},
		"both":                 {[]v1alpha1.ServerState{resting("archive", "pacs-a"), resting("archive", "pacs-b")}, "False", "NoServerLeft", "?/0", "archive is in maintenance"},
		"drained and resting":  {[]v1alpha1.ServerState{drained("archive", "pacs-a"), resting("archive", "pacs-b")}, "False", "NoServerLeft", "1/1", "archive is drained or in maintenance"},
		"one is drained":       {[]v1alpha1.ServerState{healthy("archive", "pacs-a"), drained("archive", "pacs-b")}, "True", "AllHealthy", "2/2", "All 2 servers"},
		"the other is drained": {[]v1alpha1.ServerState{down("archive", "pacs-a"), drained("archive", "pacs-b")}, "False", "NoServerLeft", "1/2", "archive is down or drained"},
	} {
		t.Run(name, func(t *testing.T) {
			got := conditions.Fold(withStates(tc.states...))
			c := meta.FindStatusCondition(got.Conditions, v1alpha1.ConditionServersHealthy)
			if string(c.Status) != tc.status || c.Reason != tc.reason || !strings.Contains(c.Message, tc.says) || got.Summary.Servers != tc.servers {
				t.Errorf("%s %+v", got.Summary.Servers, c)
			}
		})
	}
}

// TestPodsAndFallbackServersAreServers: pods are known by name alone and are each one server.
func TestPodsAndFallbackServersAreServers(t *testing.T) {
	in := withStates(healthy("archive", "pod-a"), down("archive", "pod-b"), healthy("archive", "standby"))
	pool := &in.Balancer.Spec.ServerPools[0]
	pool.Servers, pool.ServiceRef = nil, &v1alpha1.ServiceReference{Name: "archive"}
	pool.FallbackServers = []v1alpha1.FallbackServer{{Server: v1alpha1.Server{Name: "standby", Address: "192.0.2.13", State: v1alpha1.StateDrain}}}
	got := conditions.Fold(in)
	c := meta.FindStatusCondition(got.Conditions, v1alpha1.ConditionServersHealthy)
	if got.Summary.Servers != "2/3" || !strings.Contains(c.Message, "archive/pod-b (pod pod-b)") {
		t.Errorf("%s %+v", got.Summary.Servers, c)
	}
	in.Reports[0].Status.VirtualServices[0].ServerStates = nil
	states := conditions.Fold(in).VirtualServices[0].ServerStates
	if len(states) != 1 || states[0].Name != "standby" || states[0].State != "Draining" || states[0].Health != v1alpha1.HealthUnknown {
		t.Errorf("a fallback server that nobody has reported: %+v", states)
	}
}
