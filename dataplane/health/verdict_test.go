package health

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/health/agentcheck"
)

func TestDecideAndAnnotate(t *testing.T) {
	refused := Result{Grade: Fail, Reason: ConnectionRefused, Message: "refused"}
	busy := Result{Grade: Pass, Reason: ServerBusy, Message: "busy"}
	local := Result{Grade: Inconclusive, Reason: LocalFault, Message: "no descriptors"}
	up := progress{check: Check{Type: TCP}, state: State{Status: Healthy}}
	with := func(p progress, r Result) progress { p.last = r; return p }
	down := progress{check: Check{Type: HTTP}, state: State{Status: Unhealthy}, failure: refused, last: refused}
	new := progress{check: Check{Type: DICOMEcho}, state: State{Status: Healthy, Assumed: true}}
	failing := progress{check: Check{Type: TCP}, state: State{Status: Healthy, Run: 1}, failure: refused, last: refused}
	healthy := Verdict{Healthy: true, Known: true}
	downVerdict := Verdict{Known: true, Reason: ConnectionRefused, Message: "refused", Cause: HTTP}
	unknown := Verdict{Reason: NotYetChecked, Message: "not yet"}
	cases := map[string]struct {
		before Verdict
		checks []progress
		want   Verdict
	}{
		"no checks":                      {unknown, nil, Verdict{Healthy: true, Known: true, Reason: NoChecks, Message: "No health check is configured; the server is taken for healthy."}},
		"all up":                         {unknown, []progress{up, up}, healthy},
		"one down of two":                {healthy, []progress{up, down}, downVerdict},
		"one down, one new":              {healthy, []progress{new, down}, downVerdict},
		"up and new keeps healthy":       {healthy, []progress{up, new}, healthy},
		"up and new keeps unknown":       {unknown, []progress{up, {}}, unknown},
		"a failure alone is not shown":   {healthy, []progress{failing}, healthy},
		"rising still shows the failure": {downVerdict, []progress{with(down, Result{})}, downVerdict},
		"busy is shown":                  {healthy, []progress{up, with(up, busy)}, Verdict{true, true, ServerBusy, "busy", healthy.Since, TCP, agentcheck.State{}}},
		"recovered beside an assumed":    {downVerdict, []progress{up, new}, healthy},
		"assumed down keeps unhealthy":   {downVerdict, []progress{up, {state: State{Status: Unhealthy, Assumed: true}}}, downVerdict},
		"all assumed, initially healthy": {Verdict{Healthy: true, Reason: NotYetChecked}, []progress{new}, Verdict{Healthy: true, Reason: NotYetChecked}},
		"one confirmed of two":           {Verdict{Healthy: true, Reason: NotYetChecked}, []progress{up, new}, Verdict{Healthy: true, Reason: NotYetChecked}},
		"invalid check on a server down": {downVerdict, []progress{with(progress{state: State{Status: Unhealthy, Assumed: true}}, local)}, Verdict{false, true, LocalFault, "no descriptors", healthy.Since, "", agentcheck.State{}}},
		"down hides busy":                {healthy, []progress{with(up, busy), down}, downVerdict},
		"local fault is shown":           {unknown, []progress{with(progress{check: Check{Type: TCP}}, local)}, Verdict{false, false, LocalFault, "no descriptors", healthy.Since, TCP, agentcheck.State{}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := annotate(decide(tc.before, tc.checks), tc.checks)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWithdrawalComesFirst: of several notes the one for which the server gets no new connections.
func TestWithdrawalComesFirst(t *testing.T) {
	note := func(r Reason) progress {
		return progress{check: Check{Type: Agent}, last: Result{Grade: Pass, Reason: r}}
	}
	for name, tc := range map[string]struct {
		notes []progress
		want  Reason
	}{
		"busy, then drains":   {[]progress{note(ServerBusy), note(AgentDrains)}, AgentDrains},
		"drains, then busy":   {[]progress{note(AgentDrains), note(ServerBusy)}, AgentDrains},
		"the first of two":    {[]progress{note(AgentMaintains), note(AgentDrains)}, AgentMaintains},
		"the first of others": {[]progress{note(ServerBusy), note(AgentSilent)}, ServerBusy},
	} {
		t.Run(name, func(t *testing.T) {
			if got := annotate(Verdict{Healthy: true, Known: true}, tc.notes).Reason; got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
