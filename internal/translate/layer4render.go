package translate

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
)

// addLayer4 puts a layer 4 service in, one for each address family, and returns its servers.
func (a *assembly) addLayer4(s *service, k *Kept) []ServerResult {
	var servers []model.RealServer
	var out []ServerResult
	for i := range k.Pools {
		p := &k.Pools[i]
		for _, m := range members(p) {
			result := ServerResult{Pool: p.Name, Name: m.Name, State: m.state(), Unweighted: m.unweighted()}
			if result.State != model.Maintenance {
				result.Target = a.targets.add(targetOf(s.owner, p, &m))
			}
			out = append(out, result)
			servers = append(servers, realServerOf(p, &m, k.Layer4.Forwarding, result.Target))
		}
	}
	slices.SortFunc(servers, func(a, b model.RealServer) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Name, b.Name))
	})
	for _, ipv6 := range []bool{false, true} {
		if svc := ofFamily(*k.Layer4, servers, ipv6); len(svc.Addresses) > 0 {
			a.services = append(a.services, svc)
		}
	}
	return out
}

// ofFamily is the part of a service that one address family has.
func ofFamily(svc model.VirtualService, servers []model.RealServer, ipv6 bool) model.VirtualService {
	svc.Addresses = slices.DeleteFunc(slices.Clone(svc.Addresses), func(addr netip.Addr) bool { return addr.Is6() != ipv6 })
	svc.Servers = slices.DeleteFunc(slices.Clone(servers), func(srv model.RealServer) bool { return srv.Address.Is6() != ipv6 })
	svc.Persistence = persistenceOf(svc.Persistence, ipv6)
	return svc
}

// realServerOf: a server by direct routing or a tunnel has no port of its own, see usageRules.
func realServerOf(p *v1alpha1.ServerPool, m *member, service model.Forwarding, target string) model.RealServer {
	out := model.RealServer{
		Name: m.Name, Address: m.addr(), Port: serverPort(p, &m.Server), Weight: int(or(m.Weight, defaultWeight)),
		MaxConnections: uint32(or(m.MaxConnections, 0)), MinConnections: uint32(or(m.MinConnections, 0)),
		Fallback: m.fallback, State: m.state(), SlowStart: seconds(or(p.SlowStartSeconds, 0)), Target: target,
	}
	if f := m.forwarding(service); f != service {
		out.Forwarding = f
	}
	return out
}

// mergeGroups joins services of one key and family, which are those of one persistence group: the
// first by addresses and ports is the service, the others are what else it answers on.
func mergeGroups(services []model.VirtualService) []model.VirtualService {
	slices.SortStableFunc(services, func(a, b model.VirtualService) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), a.Addresses[0].Compare(b.Addresses[0]), cmp.Compare(a.Protocol, b.Protocol), slices.Compare(a.Ports, b.Ports))
	})
	var out []model.VirtualService
	for _, svc := range services {
		if n := len(out) - 1; n >= 0 && out[n].Key == svc.Key && out[n].IPv6() == svc.IPv6() {
			out[n].Also = append(out[n].Also, svc.Matches()...)
			continue
		}
		out = append(out, svc)
	}
	return out
}
