package translate

import (
	"fmt"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// serviceRules refuse what the fields of one virtual service say against each other. They repeat
// the rules of the schema, for objects that came past it; the table internal/testutil/badspecs
// holds both to the same.
var serviceRules = []func(*service) *Refusal{
	(*service).refuseProtocol,
	(*service).refuseNoPorts,
	(*service).refuseRanges,
	(*service).refuseGateway,
	(*service).refuseScheduling,
	(*service).refusePackets,
	(*service).refusePrefixLength,
}

// refusef refuses a field of the service.
func (s *service) refusef(format string, args ...any) *Refusal {
	return refusef(v1alpha1.ReasonInvalidField, "%s%s", s.where(), fmt.Sprintf(format, args...))
}

func (s *service) refuseProtocol() *Refusal {
	if s.spec.Protocol == v1alpha1.ProtocolUDP && s.spec.Mode == v1alpha1.ModeL7SNAT {
		return s.refusef(".protocol: protocol UDP needs a layer 4 mode: write mode L4DR, L4NAT, L4SNAT or L4Tunnel, or protocol: TCP")
	}
	return nil
}

func (s *service) refuseNoPorts() *Refusal {
	if len(s.spec.Ports)+len(s.spec.PortRanges) == 0 {
		return s.refusef(": a virtual service needs ports: write ports, or at layer 4 portRanges")
	}
	return nil
}

func (s *service) refuseRanges() *Refusal {
	if len(s.spec.PortRanges) > 0 && s.spec.Mode == v1alpha1.ModeL7SNAT {
		return s.refusef(".portRanges: portRanges need a layer 4 mode: write single ports, or mode L4DR, L4NAT, L4SNAT or L4Tunnel")
	}
	ranges := s.wanted.PortRanges // ascending
	for i, r := range ranges {
		if r.First > r.Last {
			return s.refusef(".portRanges: first %d is greater than last %d: write the lower port as first", r.First, r.Last)
		}
		if i > 0 && ranges[i-1].Last >= r.First {
			return s.refusef(".portRanges: %d to %d and %d to %d overlap: write ranges that have no port in common",
				ranges[i-1].First, ranges[i-1].Last, r.First, r.Last)
		}
		for _, p := range s.wanted.Ports {
			if r.First <= p && p <= r.Last {
				return s.refusef(": port %d is in ports and in portRanges: remove it from ports, or write ranges without it", p)
			}
		}
	}
	return nil
}

func (s *service) refuseGateway() *Refusal {
	for _, name := range s.spec.VirtualIPs {
		if v := findVIP(s.owner.obj, name); v != nil && v.Role == v1alpha1.RoleGateway {
			return s.refusef(".virtualIPs names %q, an address with role Gateway, which serves the servers only: write role: Service there, or another virtual IP here", name)
		}
	}
	return nil
}

func (s *service) refuseScheduling() *Refusal {
	l4 := s.spec.Layer4
	switch {
	case l4 == nil:
		return nil
	case l4.HashInput != "" && !hashes(l4.Scheduler):
		return s.refusef(".layer4.hashInput needs scheduler SourceHash or MaglevHash: remove hashInput, or write one of these schedulers")
	case l4.Failback != nil && l4.Scheduler != v1alpha1.SchedulerWeightedFailover:
		return s.refusef(".layer4.failback needs scheduler WeightedFailover: remove failback, or write scheduler: WeightedFailover")
	}
	return nil
}

func hashes(s v1alpha1.Scheduler) bool {
	return s == v1alpha1.SchedulerSourceHash || s == v1alpha1.SchedulerMaglevHash
}

func (s *service) refusePackets() *Refusal {
	l4 := s.spec.Layer4
	switch {
	case l4 == nil || l4.UDPScheduling == "":
		return nil
	case l4.UDPScheduling == v1alpha1.UDPPacket && l4.Persistence != nil:
		return s.refusef(".layer4.udpScheduling Packet chooses a server for each packet and cannot keep a client on one: remove persistence, or write udpScheduling: Connection")
	case s.spec.Protocol != v1alpha1.ProtocolUDP:
		return s.refusef(".layer4.udpScheduling needs protocol UDP: remove udpScheduling, or write protocol: UDP")
	}
	return nil
}

func (s *service) refusePrefixLength() *Refusal {
	if s.spec.Layer4 == nil || s.spec.Layer4.Persistence == nil || len(s.wanted.Addresses) == 0 {
		return nil
	}
	length := s.spec.Layer4.Persistence.ClientPrefixLength
	if length == nil || *length <= 32 || s.hasFamily(true) {
		return nil
	}
	return s.refusef(".layer4.persistence.clientPrefixLength must be 1 to 32 for a service whose virtual IPs are IPv4: write 32 for each address by itself, 24 for whole /24 networks")
}

// hasFamily tells whether one of the service's addresses is IPv6, or IPv4.
func (s *service) hasFamily(ipv6 bool) bool {
	for _, a := range s.wanted.Addresses {
		if a.Address.Is6() == ipv6 {
			return true
		}
	}
	return false
}

// refuseFamilies: layer 4 sends an IPv6 packet to an IPv6 server.
func (s *service) refuseFamilies() *Refusal {
	if s.forwarding() == "" || len(s.wanted.Pools) == 0 {
		return nil
	}
	p := &s.wanted.Pools[0]
	name := p.Name
	if len(p.Servers) == 0 {
		return nil // a Service without endpoints
	}
	for _, ipv6 := range []bool{false, true} {
		if !s.hasFamily(ipv6) || servesFamily(p, ipv6) {
			continue
		}
		s.wanted.Pools = nil // what is kept must not follow it
		family := map[bool]string{false: "IPv4", true: "IPv6"}[ipv6]
		return s.refusef(" has an %s virtual IP and spec.serverPools[%s] no %s server: layer 4 cannot change the address family; add an %s server to the pool, remove the virtual IP, or use mode L7SNAT",
			family, name, family, family)
	}
	return nil
}

func servesFamily(p *v1alpha1.ServerPool, ipv6 bool) bool {
	for _, m := range members(p) {
		if !m.fallback && m.addr().Is6() == ipv6 {
			return true
		}
	}
	return false
}
