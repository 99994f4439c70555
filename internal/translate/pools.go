package translate

import (
	"fmt"
	"net/netip"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// defaultWeight of a server, as the API documents it.
const defaultWeight = 100

// buildPools finds the pools of a service and checks their servers.
func (r *run) buildPools(s *service) {
	for _, name := range poolNames(s.spec) {
		p := findPool(s.owner.obj, name)
		if p == nil {
			s.refuse(refusef(v1alpha1.ReasonInvalidField,
				"spec.virtualServices[%s] names the pool %q, which is not in spec.serverPools: write the name of one of them, or add it", s.spec.Name, clip(name)))
			continue
		}
		if refusal := r.refusePool(s.owner, p); refusal != nil {
			s.refuse(refusal)
			continue
		}
		s.wanted.Pools = append(s.wanted.Pools, *p)
	}
}

// poolNames are the pools of a service, each once: its own, then those of its routes.
func poolNames(s *v1alpha1.VirtualService) []string {
	out := []string{s.ServerPool}
	seen := map[string]bool{s.ServerPool: true}
	if s.Layer7 == nil || s.Layer7.HTTP == nil {
		return out
	}
	for _, r := range s.Layer7.HTTP.Routes {
		if !seen[r.ServerPool] {
			seen[r.ServerPool] = true
			out = append(out, r.ServerPool)
		}
	}
	return out
}

// pools are those of the service that the spec has.
func (s *service) pools() []v1alpha1.ServerPool {
	var out []v1alpha1.ServerPool
	for _, name := range poolNames(s.spec) {
		if p := findPool(s.owner.obj, name); p != nil {
			out = append(out, *p)
		}
	}
	return out
}

func findPool(obj *v1alpha1.TruePACSBalancer, name string) *v1alpha1.ServerPool {
	for i := range obj.Spec.ServerPools {
		if obj.Spec.ServerPools[i].Name == name {
			return &obj.Spec.ServerPools[i]
		}
	}
	return nil
}

// refusePool checks what the schema cannot: that no two servers are one, and that no server is
// somebody's virtual IP.
func (r *run) refusePool(b *balancer, p *v1alpha1.ServerPool) *Refusal {
	seen := map[string]string{}
	for _, srv := range p.Servers {
		addr, err := netip.ParseAddr(srv.Address)
		if err != nil || !addr.Is4() || !addr.IsGlobalUnicast() {
			return refusef(v1alpha1.ReasonInvalidField,
				"spec.serverPools[%s].servers[%s].address %q is not a usable IPv4 address: write the address the server has on the network, for example 192.0.2.11", p.Name, srv.Name, clip(srv.Address))
		}
		endpoint := fmt.Sprint(addr, serverPort(p, &srv))
		if other, twice := seen[endpoint]; twice {
			return refusef(v1alpha1.ReasonInvalidField,
				"spec.serverPools[%s]: servers %s and %s have the same address %s: remove one, or write its own address", p.Name, other, srv.Name, addr)
		}
		seen[endpoint] = srv.Name
		if vip := r.occupied.refuseServer(b, addr); vip != nil {
			return refusef(v1alpha1.ReasonAddressInUse,
				"spec.serverPools[%s].servers[%s].address %s is a virtual IP of %s: write the server's own address", p.Name, srv.Name, addr, vip.name)
		}
	}
	return nil
}

// serverPort is the port that spec gives a server; 0: the port the client came to.
func serverPort(p *v1alpha1.ServerPool, s *v1alpha1.Server) uint16 {
	if s.Port != nil {
		return uint16(*s.Port)
	}
	if p.Port != nil {
		return uint16(*p.Port)
	}
	return 0
}
