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

// quieted is a healthy server that gets no new connections for a reason.
func quieted(pool, name, reason string) v1alpha1.ServerState {
	return v1alpha1.ServerState{ServerPool: pool, Name: name, Health: v1alpha1.HealthHealthy, State: "Draining", Reason: reason, Message: "because"}
}

// TestEmptyPoolSaysWhatClientsGet: no answer, or with UseAllServers the servers all the same, as
// dataplane/weights has it.
func TestEmptyPoolSaysWhatClientsGet(t *testing.T) {
	const refused, tried = "its clients get no answer from virtual service dicom", "new connections of virtual service dicom go to all servers that are down all the same"
	for name, tc := range map[string]struct {
		useAll bool
		states []v1alpha1.ServerState
		says   string
	}{
		"refuse":               {false, []v1alpha1.ServerState{down("archive", "pacs-a"), down("archive", "pacs-b")}, refused},
		"use all":              {true, []v1alpha1.ServerState{down("archive", "pacs-a"), down("archive", "pacs-b")}, tried},
		"use all, one drained": {true, []v1alpha1.ServerState{down("archive", "pacs-a"), drained("archive", "pacs-b")}, tried},
		"all are drained":      {true, []v1alpha1.ServerState{drained("archive", "pacs-a"), drained("archive", "pacs-b")}, refused},
		"one by its agent":     {true, []v1alpha1.ServerState{down("archive", "pacs-a"), quieted("archive", "pacs-b", "AgentDrains")}, refused},
		"all by their agents":  {true, []v1alpha1.ServerState{quieted("archive", "pacs-a", "AgentMaintains"), quieted("archive", "pacs-b", "NoWeight")}, refused},
		"in maintenance":       {true, []v1alpha1.ServerState{resting("archive", "pacs-a"), resting("archive", "pacs-b")}, refused},
	} {
		t.Run(name, func(t *testing.T) {
			in := withStates(tc.states...)
			if tc.useAll {
				in.Balancer.Spec.VirtualServices[0].Layer4 = &v1alpha1.Layer4{WhenAllServersDown: v1alpha1.AllDownUseAllServers}
			}
			c := meta.FindStatusCondition(conditions.Fold(in).Conditions, v1alpha1.ConditionServersHealthy)
			if c.Reason != v1alpha1.ReasonNoServerLeft || !strings.Contains(c.Message, tc.says) {
				t.Errorf("%+v", c)
			}
		})
	}
}

// TestDirectorsNotesReachTheStatus: whose idle timeouts are in force only the director knows.
func TestDirectorsNotesReachTheStatus(t *testing.T) {
	const note = "The spec is accepted. Note: tcpSeconds is 60 here and 7200 in force on node node-1."
	in := working()
	setReport(&in, condition(v1alpha1.ConditionAccepted, "True", v1alpha1.ReasonAccepted, note))
	if c := meta.FindStatusCondition(conditions.Fold(in).Conditions, v1alpha1.ConditionAccepted); c.Status != "True" || c.Message != note {
		t.Errorf("%+v", c)
	}
	refused := condition(v1alpha1.ConditionAccepted, "False", v1alpha1.ReasonPortConflict, "No.")
	in.Accepted = &refused
	if c := meta.FindStatusCondition(conditions.Fold(in).Conditions, v1alpha1.ConditionAccepted); c.Status != "False" {
		t.Errorf("%+v", c)
	}
}

// TestWhatIsProgrammedStaysInStatus: of a report on an older generation, and while nobody is heard.
func TestWhatIsProgrammedStaysInStatus(t *testing.T) {
	has := &v1alpha1.ProgrammedService{Node: "node-1", Addresses: []string{"192.0.2.100"}, Ports: []int32{104}}
	programmed := func(in conditions.Input) *v1alpha1.ProgrammedService {
		return conditions.Fold(in).VirtualServices[0].Programmed
	}
	in := working()
	in.Reports[0].Status.VirtualServices[0].Programmed = has
	in.Balancer.Generation = 8
	if got := programmed(in); got != has {
		t.Errorf("the report speaks of an older generation: %+v", got)
	}
	in.Balancer.Status = conditions.Fold(in)
	in.Leases["node-1"] = now().Add(-1)
	if got := programmed(in); got != has {
		t.Errorf("the director is silent: %+v", got)
	}
	in.Leases["node-1"] = now().Add(1)
	in.Reports[0].Status.VirtualServices[0].Programmed = nil
	if got := programmed(in); got != nil {
		t.Errorf("the director holds it no more: %+v", got)
	}
}
