package report

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/drain"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/internal/translate"
)

// serverStates says how each server of a service is.
func (in Input) serverStates(s translate.ServiceResult) []v1alpha1.ServerState {
	var list []v1alpha1.ServerState
	for _, server := range s.Servers {
		v := in.Observed.Verdicts[server.Target]
		state := v1alpha1.ServerState{ServerPool: server.Pool, Name: server.Name, State: v1alpha1.ServerActive, Health: healthOf(v)}
		state.Reason, state.Message = v.Reason, v.Message
		idle(&state, server)
		status, known := in.Observed.Leaving[drain.Key{Service: s.ModelKey, Server: server.Name}]
		switch server.State {
		case model.Drain:
			drained(&state, s, status, known)
		case model.Maintenance:
			state.State, state.Reason = v1alpha1.ServerMaintenance, v1alpha1.ServerMaintenance
			state.Message = "No checks and no connections: the spec says state: Maintenance."
			if status.Phase == drain.Resetting {
				state.Message += " " + left(status) + "; both ends are being told that they are over."
			}
		}
		list = append(list, state)
	}
	return list
}

// idle marks a server that is well and gets no new connections: its agent asks for that, or its
// weight is 0. Nobody counts what is left there, so that it never gets to Drained.
func idle(state *v1alpha1.ServerState, server translate.ServerResult) {
	switch {
	case state.Health != v1alpha1.HealthHealthy:
	case state.Reason == v1alpha1.ServerReasonAgentDrains, state.Reason == v1alpha1.ServerReasonAgentMaintains:
		state.State = v1alpha1.ServerDraining
	case server.Unweighted:
		state.State, state.Reason = v1alpha1.ServerDraining, v1alpha1.ServerReasonNoWeight
		state.Message = strings.TrimSpace("It gets no new connections: the spec says weight: 0. " + state.Message)
	}
}

// drained says how far a server in state Drain has come. What its checks say stays in front.
func drained(state *v1alpha1.ServerState, s translate.ServiceResult, status drain.Status, known bool) {
	state.State = v1alpha1.ServerDraining
	if status.Phase == drain.Drained {
		state.State = v1alpha1.ServerDrained
	}
	if state.Health == v1alpha1.HealthHealthy {
		state.Reason = ""
	}
	state.Reason = cmp.Or(state.Reason, state.State)
	state.Message = strings.TrimSpace(state.Message + " " + progress(s, status, known))
}

func progress(s translate.ServiceResult, status drain.Status, known bool) string {
	switch {
	case !known && len(s.Listeners) > 0:
		return "The proxy gives it no new requests; those under way go on and are not counted here."
	case !known:
		return "The director is programming the change."
	case status.Phase == drain.Drained:
		return "No connection is left and no new ones come: the server can be stopped. state: Active brings it back."
	case status.Phase == drain.Resetting:
		return fmt.Sprintf("The time of drainTimeoutSeconds was over at %s. %s; both ends are being told that they are over.", clock(status.Deadline), left(status))
	case status.Deadline.IsZero():
		return left(status) + ", no new ones come. They may go on without limit; layer4.drainTimeoutSeconds would set one."
	}
	return fmt.Sprintf("%s, no new ones come. What is left at %s will be reset (drainTimeoutSeconds).", left(status), clock(status.Deadline))
}

func left(status drain.Status) string {
	switch {
	case !status.Counted:
		return "How many connections are left could not be read yet"
	case status.Connections == 1:
		return "1 connection is left"
	}
	return fmt.Sprintf("%d connections are left", status.Connections)
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func healthOf(v model.Verdict) v1alpha1.Health {
	switch {
	case !v.Known:
		return v1alpha1.HealthUnknown
	case v.Healthy:
		return v1alpha1.HealthHealthy
	default:
		return v1alpha1.HealthUnhealthy
	}
}
