package conditions

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// Limits of the API: serverStates[].message and the number of serverStates of a service.
const (
	maxServerMessage = 1024
	maxServerStates  = 1024
)

// serverKey names a server of a pool.
type serverKey struct{ pool, server string }

// serverStates lists the servers of the service's pools in the order of the spec, then those
// that the director still uses although the spec has them no more.
func (s *scope) serverStates(service *v1alpha1.VirtualService, view *director) []v1alpha1.ServerState {
	var out []v1alpha1.ServerState
	seen, listed := statesOf(view, service.Name), map[serverKey]bool{}
	for _, pool := range poolsOf(service) {
		for _, server := range s.serversOf(pool) {
			key := serverKey{pool, server.Name}
			listed[key] = true
			state, ok := seen[key]
			if !ok {
				state = s.unseenServer(key, view)
				state.State = cmp.Or(wantedState(server.State), state.State)
			}
			out = append(out, s.withDisagreement(service.Name, state, view))
		}
	}
	if reported := serviceOf(view, service.Name); reported != nil {
		for _, state := range reported.ServerStates {
			if !listed[serverKey{state.ServerPool, state.Name}] {
				out = append(out, s.withDisagreement(service.Name, state, view))
			}
		}
	}
	return out[:min(len(out), maxServerStates)]
}

func statesOf(d *director, service string) map[serverKey]v1alpha1.ServerState {
	out := map[serverKey]v1alpha1.ServerState{}
	if reported := serviceOf(d, service); reported != nil {
		for _, state := range reported.ServerStates {
			out[serverKey{state.ServerPool, state.Name}] = state
		}
	}
	return out
}

// poolsOf are the names of the service's pools, each once: its own, then those of its routes.
func poolsOf(service *v1alpha1.VirtualService) []string {
	pools, seen := []string{service.ServerPool}, map[string]bool{service.ServerPool: true}
	if service.Layer7 == nil || service.Layer7.HTTP == nil {
		return pools
	}
	for _, route := range service.Layer7.HTTP.Routes {
		if !seen[route.ServerPool] {
			seen[route.ServerPool] = true
			pools = append(pools, route.ServerPool)
		}
	}
	return pools
}

// serversOf are the servers of a pool and then its fallback servers; the pods of a Service are
// known to the directors alone.
func (s *scope) serversOf(pool string) []v1alpha1.Server {
	p := s.poolOf(pool)
	if p == nil {
		return nil
	}
	out := slices.Clone(p.Servers)
	for _, f := range p.FallbackServers {
		out = append(out, f.Server)
	}
	return out
}

func (s *scope) poolOf(name string) *v1alpha1.ServerPool {
	for i := range s.spec.ServerPools {
		if s.spec.ServerPools[i].Name == name {
			return &s.spec.ServerPools[i]
		}
	}
	return nil
}

// wantedState is what a server is in as soon as a director does what the spec says.
func wantedState(state v1alpha1.AdminState) string {
	if state == v1alpha1.StateDrain {
		return v1alpha1.ServerDraining
	}
	return string(state)
}

func (s *scope) unseenServer(key serverKey, view *director) v1alpha1.ServerState {
	reason, message := s.unseen(view)
	return v1alpha1.ServerState{
		ServerPool: key.pool, Name: key.server, Health: v1alpha1.HealthUnknown, State: string(v1alpha1.StateActive),
		Reason: reason, Message: shorten(message, maxServerMessage),
	}
}

// withDisagreement adds what other directors see when they see it differently.
func (s *scope) withDisagreement(service string, state v1alpha1.ServerState, view *director) v1alpha1.ServerState {
	if state.Health == "" {
		state.Health = v1alpha1.HealthUnknown
	}
	var others []string
	for i := range s.directors {
		d := &s.directors[i]
		if view == nil || d.name == view.name || !d.heard() {
			continue
		}
		other, ok := statesOf(d, service)[serverKey{state.ServerPool, state.Name}]
		if ok && other.Health != state.Health && other.Health != v1alpha1.HealthUnknown {
			others = append(others, fmt.Sprintf("Director %s sees it %s: %s", d.name, other.Health, sentence(detail(other))))
		}
	}
	if len(others) > 0 {
		own := ""
		if state.Message != "" {
			own = sentence(state.Message) + " "
		}
		state.Message = own + strings.Join(others, " ")
	}
	state.Message = shorten(state.Message, maxServerMessage)
	return state
}

// detail is the message of a check, or its reason when there is no message.
func detail(state v1alpha1.ServerState) string {
	switch {
	case state.Message != "":
		return state.Message
	case state.Reason != "":
		return state.Reason
	case state.Health == v1alpha1.HealthHealthy:
		return "all checks pass"
	}
	return "no reason was given"
}
