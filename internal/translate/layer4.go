package translate

import (
	"net/netip"
	"slices"
	"time"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
)

// Defaults of layer 4, as the API documents them.
const (
	defaultPersistence      = 300
	defaultPrefixLength     = 32
	defaultPrefixLengthIPv6 = 128
)

// buildLayer4 makes the kernel's side of a layer 4 service. Mark and servers come later.
func (r *run) buildLayer4(s *service) {
	if s.forwarding() == "" {
		return
	}
	s.wanted.Layer4 = &model.VirtualService{
		Key:        s.key,
		Addresses:  addressesOf(s.wanted),
		Protocol:   protocol(s.spec.Protocol),
		Ports:      slices.Compact(slices.Sorted(slices.Values(s.wanted.Ports))),
		PortRanges: s.wanted.PortRanges,
		Forwarding: s.forwarding(),
		Scheduler:  model.WeightedLeastConnection,
	}
	if s.spec.Layer4 != nil {
		s.wanted.setLayer4(s.spec.Layer4)
	}
	if s.spec.Mode == v1alpha1.ModeL4NAT {
		s.advice = append(s.advice, s.returnPath())
	}
	s.adviseChecks()
}

// setLayer4 puts the settings of layer 4 in.
func (k *Kept) setLayer4(l4 *v1alpha1.Layer4) {
	svc := k.Layer4
	svc.Scheduler = scheduler(l4.Scheduler)
	svc.SchedulerFlags = model.SchedulerFlags{
		Fallback: hashes(l4.Scheduler), Port: l4.HashInput == v1alpha1.HashSourceAddressAndPort,
	}
	svc.OnePacket = l4.UDPScheduling == v1alpha1.UDPPacket
	svc.Persistence = persistence(l4.Persistence)
	if l4.WhenAllServersDown == v1alpha1.AllDownUseAllServers {
		svc.AllDown = model.AllDownUseAll
	}
	if l4.Persistence != nil {
		k.Group = l4.Persistence.Group
	}
	svc.DrainTimeout = seconds(or(l4.DrainTimeoutSeconds, 0))
	if l4.Failback != nil {
		svc.HoldDown = seconds(or(l4.Failback.HoldDownSeconds, 0))
	}
}

// adviseChecks: a pool without checks gets a TCP check, which a server for UDP may not answer.
func (s *service) adviseChecks() {
	if s.spec.Protocol != v1alpha1.ProtocolUDP || len(s.wanted.Pools) == 0 || len(s.wanted.Pools[0].HealthChecks) > 0 {
		return
	}
	s.advice = append(s.advice, "service "+s.spec.Name+" is UDP and spec.serverPools["+s.wanted.Pools[0].Name+
		"] has no healthChecks, so that its servers must accept TCP on the service's port: write a check of a port on which they answer TCP")
}

// returnPath says what nobody can see in the spec: whether replies come back.
func (s *service) returnPath() string {
	for _, v := range s.owner.obj.Spec.VirtualIPs {
		if v.Role == v1alpha1.RoleGateway {
			return "mode L4NAT (service " + s.spec.Name + ") needs replies to come back through the director: give the servers " + v.Address +
				" (virtual IP " + v.Name + ") as default gateway; clients on the servers' own network get no answer, for them use L4SNAT"
		}
	}
	return "mode L4NAT (service " + s.spec.Name + ") needs replies to come back through the director: give the servers an address of the director as default gateway, " +
		"best a virtual IP with role: Gateway; clients on the servers' own network get no answer, for them use L4SNAT"
}

// addressesOf are the distinct addresses of a service, ascending: IPv4 first.
func addressesOf(k Kept) []netip.Addr {
	out := make([]netip.Addr, 0, len(k.Addresses))
	for _, a := range k.Addresses {
		out = append(out, a.Address)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

func protocol(p v1alpha1.Protocol) model.Protocol {
	if p == v1alpha1.ProtocolUDP {
		return model.UDP
	}
	return model.TCP
}

func scheduler(s v1alpha1.Scheduler) model.Scheduler {
	switch s {
	case v1alpha1.SchedulerRoundRobin:
		return model.RoundRobin
	case v1alpha1.SchedulerWeightedRoundRobin:
		return model.WeightedRoundRobin
	case v1alpha1.SchedulerLeastConnection:
		return model.LeastConnection
	case v1alpha1.SchedulerSourceHash:
		return model.SourceHash
	case v1alpha1.SchedulerMaglevHash:
		return model.MaglevHash
	case v1alpha1.SchedulerShortestExpectedDelay:
		return model.ShortestExpectedDelay
	case v1alpha1.SchedulerNeverQueue:
		return model.NeverQueue
	case v1alpha1.SchedulerWeightedFailover:
		return model.WeightedFailover
	case v1alpha1.SchedulerWeightedOverflow:
		return model.WeightedOverflow
	}
	return model.WeightedLeastConnection
}

// persistence leaves the prefix length 0 where the spec has none: each family has its own.
func persistence(p *v1alpha1.Layer4Persistence) *model.Persistence {
	if p == nil {
		return nil
	}
	return &model.Persistence{
		Timeout:      seconds(or(p.TimeoutSeconds, defaultPersistence)),
		PrefixLength: int(or(p.ClientPrefixLength, 0)),
	}
}

// persistenceOf is the persistence of one family.
func persistenceOf(p *model.Persistence, ipv6 bool) *model.Persistence {
	if p == nil {
		return nil
	}
	out := *p
	switch {
	case out.PrefixLength == 0 && ipv6:
		out.PrefixLength = defaultPrefixLengthIPv6
	case out.PrefixLength == 0 || (!ipv6 && out.PrefixLength > defaultPrefixLength):
		out.PrefixLength = defaultPrefixLength
	}
	return &out
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

// or returns a field's value, else its default.
func or(field *int32, absent int32) int32 {
	if field != nil {
		return *field
	}
	return absent
}
