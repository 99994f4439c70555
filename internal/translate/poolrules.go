package translate

import (
	"fmt"
	"slices"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
)

// poolRules refuse what the fields of one pool say against each other; see serviceRules.
var poolRules = []func(*v1alpha1.ServerPool) *Refusal{
	refuseSources,
	refuseNames,
	refuseThresholds,
	refuseChecks,
}

// usageRules refuse what a pool says against a service that uses it.
var usageRules = []func(*run, *service, *v1alpha1.ServerPool) *Refusal{
	(*run).refuseAtLayer7,
	(*run).refusePoolPort,
	(*run).refuseFallbackPort,
	(*run).refuseCheckVia,
	(*run).refuseWeights,
	(*run).refusePortThatSticks,
	(*run).refuseOffSegment,
}

func badField(format string, args ...any) *Refusal {
	return refusef(v1alpha1.ReasonInvalidField, format, args...)
}

func refuseSources(p *v1alpha1.ServerPool) *Refusal {
	switch {
	case (len(p.Servers) > 0) == (p.ServiceRef != nil):
		return badField("spec.serverPools[%s]: a pool has exactly one of servers and serviceRef: write servers for machines that you name, serviceRef for the pods of a Service", p.Name)
	case p.ServiceRef != nil && p.Port != nil:
		return badField("spec.serverPools[%s]: port may not be set beside serviceRef: remove port, the pods' port is that of serviceRef.portName", p.Name)
	}
	return nil
}

func refuseNames(p *v1alpha1.ServerPool) *Refusal {
	seen := map[string]bool{}
	for _, m := range members(p) {
		if seen[m.Name] {
			return badField("spec.serverPools[%s]: the name %s is both in servers and in fallbackServers: write names that differ over both lists", p.Name, m.Name)
		}
		seen[m.Name] = true
	}
	return nil
}

func refuseThresholds(p *v1alpha1.ServerPool) *Refusal {
	for _, m := range members(p) {
		if m.MinConnections != nil && (m.MaxConnections == nil || *m.MinConnections >= *m.MaxConnections) {
			return badField("%s: minConnections needs a greater maxConnections: write maxConnections above it, or remove minConnections", m.where(p))
		}
	}
	return nil
}

func refuseChecks(p *v1alpha1.ServerPool) *Refusal {
	for i := range p.HealthChecks {
		if says := refuseCheck(&p.HealthChecks[i]); says != "" {
			return badField("spec.serverPools[%s].healthChecks[%d]: %s", p.Name, i, says)
		}
	}
	return nil
}

func refuseCheck(h *v1alpha1.HealthCheck) string {
	external, agent := h.Type == v1alpha1.HealthCheckExternal, h.Type == v1alpha1.HealthCheckAgent
	switch {
	case h.External != nil && !external:
		return "external may only be set when type is External: remove external, or write type: External"
	case external && h.External == nil:
		return "type External needs external.name: write the name of a file in the directory with your check programs"
	case h.Agent != nil && !agent:
		return "agent may only be set when type is Agent: remove agent, or write type: Agent"
	case agent && h.Agent == nil:
		return "type Agent needs agent.port: write the port on which the agent of the server listens"
	case agent && h.Port != nil:
		return "type Agent has its port in agent.port: remove port"
	case h.Via == v1alpha1.ViaVirtualIP && (external || agent):
		return "via VirtualIP is for the types TCP, HTTP and DICOMEcho: write via: RealServer, or another type"
	}
	return ""
}

// refuseAtLayer7 refuses what the proxy does not know.
func (r *run) refuseAtLayer7(s *service, p *v1alpha1.ServerPool) *Refusal {
	if s.forwarding() != "" {
		return nil
	}
	field := ""
	switch {
	case len(p.FallbackServers) > 0:
		field = "fallbackServers"
	case p.SlowStartSeconds != nil:
		field = "slowStartSeconds"
	}
	for _, m := range members(p) {
		if m.MaxConnections != nil {
			field = "maxConnections"
		}
	}
	for _, h := range p.HealthChecks {
		if h.Type == v1alpha1.HealthCheckExternal || h.Type == v1alpha1.HealthCheckAgent {
			field = "a health check of type " + string(h.Type)
		}
	}
	if field == "" {
		return nil
	}
	return badField("spec.serverPools[%s] has %s and service %s in mode L7SNAT uses it, which layer 4 alone can do for now: remove it, or make a pool of its own for layer 7", p.Name, field, s.spec.Name)
}

func (r *run) refusePoolPort(s *service, p *v1alpha1.ServerPool) *Refusal {
	if !keepsDestination(s.forwarding()) {
		return nil
	}
	const instead = "(servers then answer on the port the client came to), or use mode L4NAT, L4SNAT or L7SNAT"
	if p.Port != nil {
		return badField("spec.serverPools[%s].port: modes L4DR and L4Tunnel cannot translate ports: remove port from the server pool %s", p.Name, instead)
	}
	for i := range p.Servers {
		if p.Servers[i].Port != nil {
			return badField("spec.serverPools[%s].servers[%s].port: modes L4DR and L4Tunnel cannot translate ports: remove port from the pool's servers %s", p.Name, p.Servers[i].Name, instead)
		}
	}
	return nil
}

func (r *run) refuseFallbackPort(s *service, p *v1alpha1.ServerPool) *Refusal {
	for _, m := range members(p) {
		if m.fallback && serverPort(p, &m.Server) != 0 && keepsDestination(m.forwarding(s.forwarding())) {
			return badField("%s: fallbackServers that are reached by L4DR or L4Tunnel cannot translate ports: remove port from them and from the pool, or write mode: L4NAT there", m.where(p))
		}
	}
	return nil
}

func (r *run) refuseCheckVia(s *service, p *v1alpha1.ServerPool) *Refusal {
	for i := range p.HealthChecks {
		h := &p.HealthChecks[i]
		if h.Via != v1alpha1.ViaVirtualIP {
			continue
		}
		if s.forwarding() != model.DirectRouting {
			return badField("spec.serverPools[%s].healthChecks[%d]: via VirtualIP works in pools that mode L4DR alone uses, service %s is in mode %s: write via: RealServer, or make a pool of its own for the other modes",
				p.Name, i, s.spec.Name, s.spec.Mode)
		}
		if says := s.closedToCheck(h.Port); says != "" {
			return badField("spec.serverPools[%s].healthChecks[%d]: %s", p.Name, i, says)
		}
	}
	return nil
}

// closedToCheck says why a check through one of the service's virtual IPs would be dropped on the
// servers: only what services of the pool declare answers there, and checks speak TCP.
func (s *service) closedToCheck(port *int32) string {
	for _, vip := range s.spec.VirtualIPs {
		declared := s.owner.declares(s.spec.ServerPool, vip)
		switch {
		case len(declared) == 0:
			return fmt.Sprintf("via VirtualIP needs a TCP port, and service %s has none on virtual IP %s, nor has another service of the pool there: write via: RealServer", s.spec.Name, vip)
		case port != nil && !slices.ContainsFunc(declared, func(d v1alpha1.PortRange) bool { return d.First <= *port && *port <= d.Last }):
			return fmt.Sprintf("via VirtualIP goes to port %d, which no TCP service of the pool has on virtual IP %s, so that it would be dropped on the servers: write port: %d, via: RealServer, or remove port (each virtual IP is then checked at a port that it has)",
				*port, vip, declared[0].First)
		}
	}
	return ""
}

// declares are the TCP ports that services by direct routing have for a pool on a virtual IP.
func (b *balancer) declares(pool, vip string) []v1alpha1.PortRange {
	var out []v1alpha1.PortRange
	for i := range b.obj.Spec.VirtualServices {
		v := &b.obj.Spec.VirtualServices[i]
		if v.ServerPool != pool || forwarding(v.Mode) != model.DirectRouting || protocol(v.Protocol) != model.TCP || !slices.Contains(v.VirtualIPs, vip) {
			continue
		}
		for _, port := range v.Ports {
			out = append(out, v1alpha1.PortRange{First: port, Last: port})
		}
		out = append(out, v.PortRanges...)
	}
	return out
}

// refuseWeights: WeightedFailover goes by the weight alone, the kernel would choose any of two.
func (r *run) refuseWeights(s *service, p *v1alpha1.ServerPool) *Refusal {
	if s.spec.Layer4 == nil || s.spec.Layer4.Scheduler != v1alpha1.SchedulerWeightedFailover {
		return nil
	}
	type rank struct {
		ipv6, fallback bool
		weight         int32
	}
	seen := map[rank]string{}
	for _, m := range members(p) {
		at := rank{m.addr().Is6(), m.fallback, or(m.Weight, defaultWeight)}
		if other, twice := seen[at]; twice && at.weight > 0 {
			return badField("spec.virtualServices[%s].layer4.scheduler WeightedFailover uses the server with the greatest weight, and servers %s and %s of spec.serverPools[%s] both have %d: write weights that differ, the greatest for the server to use first",
				s.spec.Name, other, m.Name, p.Name, at.weight)
		}
		seen[at] = m.Name
	}
	return nil
}

// refusePortThatSticks: the kernel passes over the server's port where a client sticks to a server
// across a group of ports (ip_vs_core.c, ip_vs_sched_persist).
func (r *run) refusePortThatSticks(s *service, p *v1alpha1.ServerPool) *Refusal {
	if s.spec.Layer4 == nil || s.spec.Layer4.Persistence == nil {
		return nil
	}
	for _, m := range members(p) {
		port := serverPort(p, &m.Server)
		if port != 0 && !keepsDestination(m.forwarding(s.forwarding())) && !(len(s.wanted.Ports) == 1 && len(s.wanted.PortRanges) == 0 && s.wanted.Ports[0] == port) {
			return badField("%s has port %d and service %s keeps its clients on one server (layer4.persistence): the kernel cannot do both. Remove the port (servers then answer on the port the client came to), remove persistence, or use scheduler SourceHash",
				m.where(p), port, s.spec.Name)
		}
	}
	return nil
}

// refuseOffSegment: direct routing reaches a server by its MAC address. The director alone knows
// its networks.
func (r *run) refuseOffSegment(s *service, p *v1alpha1.ServerPool) *Refusal {
	if !s.owner.active {
		return nil
	}
	for _, m := range members(p) {
		if m.forwarding(s.forwarding()) != model.DirectRouting || facing(r.in.Node, m.addr()) != "" {
			continue
		}
		where, instead := m.where(p), "use L4Tunnel, L4SNAT or L7SNAT"
		if p.ServiceRef != nil && !m.fallback {
			where, instead = "spec.serverPools["+p.Name+"].serviceRef: pod "+m.Name, "use L4SNAT or L7SNAT, or pods on the host network of nodes there"
		}
		return refusef(v1alpha1.ReasonServerOffSegment,
			"%s has address %s, which is not on a network of node %s (%s), and mode L4DR cannot reach it: %s",
			where, m.Address, r.in.Node.Name, interfaceText(r.in.Node), instead)
	}
	return nil
}
