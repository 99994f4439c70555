package conditions

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// tally is what all services together say of the servers.
type tally struct {
	order []serverKey
	// worst is the worst state of each server over the services that use it.
	worst map[serverKey]v1alpha1.ServerState
	// idle are servers in maintenance, which nobody checks and no condition counts.
	idle []serverKey
	// leaving are servers that are drained.
	leaving map[serverKey]bool
}

// severity orders health from good to bad.
func severity(h v1alpha1.Health) int {
	switch h {
	case v1alpha1.HealthHealthy:
		return 0
	case v1alpha1.HealthUnhealthy:
		return 2
	default:
		return 1
	}
}

func newTally(services []v1alpha1.VirtualServiceStatus) tally {
	t := tally{worst: map[serverKey]v1alpha1.ServerState{}, leaving: map[serverKey]bool{}}
	for _, service := range services {
		for _, state := range service.ServerStates {
			key := serverKey{state.ServerPool, state.Name}
			if state.State == string(v1alpha1.StateMaintenance) {
				t.idle = append(t.idle, key)
				continue
			}
			if state.State == v1alpha1.ServerDraining || state.State == v1alpha1.ServerDrained {
				t.leaving[key] = true
			}
			known, ok := t.worst[key]
			if !ok {
				t.order = append(t.order, key)
			}
			if !ok || severity(state.Health) > severity(known.Health) {
				t.worst[key] = state
			}
		}
	}
	return t
}

// with are the servers of one health, in order.
func (t tally) with(h v1alpha1.Health) []v1alpha1.ServerState {
	var out []v1alpha1.ServerState
	for _, key := range t.order {
		if t.worst[key].Health == h {
			out = append(out, t.worst[key])
		}
	}
	return out
}

func (t tally) all() []v1alpha1.ServerState {
	var out []v1alpha1.ServerState
	for _, key := range t.order {
		out = append(out, t.worst[key])
	}
	return out
}

// emptyPools are the pools whose every server is down, drained or in maintenance.
func (t tally) emptyPools() []string {
	left, pools := map[string]bool{}, []string{}
	for _, key := range slices.Concat(t.order, t.idle) {
		if !slices.Contains(pools, key.pool) {
			pools = append(pools, key.pool)
		}
	}
	for _, key := range t.order {
		if t.worst[key].Health != v1alpha1.HealthUnhealthy && !t.leaving[key] {
			left[key.pool] = true
		}
	}
	return slices.DeleteFunc(pools, func(p string) bool { return left[p] })
}

// serversHealthy names the servers that are down with the reason their check gave.
func (s *scope) serversHealthy(services []v1alpha1.VirtualServiceStatus) metav1.Condition {
	t := newTally(services)
	return s.decide(v1alpha1.ConditionServersHealthy,
		func(s *scope) *verdict { return s.noServerLeft(t) },
		func(s *scope) *verdict { return s.serversDown(t) },
		func(s *scope) *verdict { return s.serversUnknown(t) },
		func(s *scope) *verdict {
			return yes(v1alpha1.ReasonAllHealthy, "All %d servers pass their checks.", s.machines(t.all()))
		},
	)
}

func (s *scope) noServerLeft(t tally) *verdict {
	pools := t.emptyPools()
	if len(pools) == 0 {
		return nil
	}
	var lost []string
	for _, pool := range pools {
		lost = append(lost, fmt.Sprintf("Every server of pool %s is %s%s.", pool, t.causes(pool), s.affected(pool, t.usesAll(pool))))
	}
	text := strings.Join(lost, " ") + " " + s.describe(t.with(v1alpha1.HealthUnhealthy))
	return no(v1alpha1.ReasonNoServerLeft, "%s", strings.TrimSpace(text))
}

// causes says why an empty pool is empty.
func (t tally) causes(pool string) string {
	var all []string
	if slices.ContainsFunc(t.order, func(k serverKey) bool { return k.pool == pool && t.worst[k].Health == v1alpha1.HealthUnhealthy }) {
		all = append(all, "down")
	}
	if slices.ContainsFunc(t.order, func(k serverKey) bool { return k.pool == pool && t.leaving[k] }) {
		all = append(all, "drained")
	}
	if slices.ContainsFunc(t.idle, func(k serverKey) bool { return k.pool == pool }) {
		all = append(all, "in maintenance")
	}
	return strings.Join(all, " or ")
}

// usesAll tells whether whenAllServersDown: UseAllServers takes effect in an empty pool: a server is
// down that the spec lets take connections, and none is up that gets none for another reason.
func (t tally) usesAll(pool string) bool {
	some := false
	for _, key := range t.order {
		state := t.worst[key]
		switch {
		case key.pool != pool:
		case state.Health == v1alpha1.HealthUnhealthy && !t.leaving[key]:
			some = true
		case state.Health != v1alpha1.HealthUnhealthy && idles(state):
			return false
		}
	}
	return some
}

// idles tells a server that is well and gets no new connections although its state in the spec is
// Active.
func idles(state v1alpha1.ServerState) bool {
	switch state.Reason {
	case v1alpha1.ServerReasonAgentDrains, v1alpha1.ServerReasonAgentMaintains, v1alpha1.ServerReasonNoWeight:
		return true
	}
	return false
}

// affected says who feels that a pool is empty. The kernel gives new connections to servers that are
// down where the service says so and usesAll allows it.
func (s *scope) affected(pool string, usesAll bool) string {
	var refuse, try []string
	for i := range s.spec.VirtualServices {
		service := &s.spec.VirtualServices[i]
		switch {
		case !slices.Contains(poolsOf(service), pool):
		case usesAll && service.Layer4 != nil && service.Layer4.WhenAllServersDown == v1alpha1.AllDownUseAllServers:
			try = append(try, service.Name)
		default:
			refuse = append(refuse, service.Name)
		}
	}
	out := ""
	if len(refuse) > 0 {
		out = ", so its clients get no answer from virtual service " + join(refuse)
	}
	if len(try) > 0 {
		out += "; new connections of virtual service " + join(try) + " go to all servers that are down all the same (whenAllServersDown: UseAllServers)"
	}
	return out
}

func (s *scope) serversDown(t tally) *verdict {
	down := t.with(v1alpha1.HealthUnhealthy)
	if len(down) == 0 {
		return nil
	}
	return no(v1alpha1.ReasonServersDown, "%d of %d servers down; new connections go to the others. %s", s.machines(down), s.machines(t.all()), s.describe(down))
}

func (s *scope) serversUnknown(t tally) *verdict {
	open := t.with(v1alpha1.HealthUnknown)
	if len(t.order) == 0 {
		return unknown(v1alpha1.ReasonPending, "No director has checked a server yet.")
	}
	if len(open) == 0 {
		return nil
	}
	reason := v1alpha1.ReasonPending
	switch first := open[0].Reason; first {
	case v1alpha1.ReasonDirectorSilent, v1alpha1.ReasonDirectorElsewhere, v1alpha1.ReasonNoDirector:
		reason = first
	}
	return unknown(reason, "The health of %d of %d servers is not known: %s", s.machines(open), s.machines(t.all()), sentence(detail(open[0])))
}

// describe names each server with what its check said.
func (s *scope) describe(down []v1alpha1.ServerState) string {
	const most = 10
	var out []string
	for _, state := range down[:min(len(down), most)] {
		reason := ""
		if state.Reason != "" {
			reason = state.Reason + ": "
		}
		out = append(out, fmt.Sprintf("%s/%s (%s): %s%s", state.ServerPool, state.Name, s.addressOf(state), reason, sentence(detail(state))))
	}
	if len(down) > most {
		out = append(out, count(len(down)-most, "more are listed in status.virtualServices[].serverStates."))
	}
	return strings.Join(out, " ")
}

// machines counts servers by address: a machine in two pools is one server.
func (s *scope) machines(states []v1alpha1.ServerState) int {
	seen := map[string]bool{}
	for _, state := range states {
		seen[s.addressOf(state)] = true
	}
	return len(seen)
}

// addressOf is the server's address in the spec; a pod has none there and goes by its name.
func (s *scope) addressOf(state v1alpha1.ServerState) string {
	if p := s.poolOf(state.ServerPool); p != nil && p.ServiceRef != nil && !isFallback(p, state.Name) {
		return "pod " + state.Name
	}
	for _, server := range s.serversOf(state.ServerPool) {
		if server.Name == state.Name {
			return server.Address
		}
	}
	return "no longer in spec.serverPools"
}

func isFallback(p *v1alpha1.ServerPool, name string) bool {
	return slices.ContainsFunc(p.FallbackServers, func(f v1alpha1.FallbackServer) bool { return f.Name == name })
}
