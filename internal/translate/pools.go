package translate

import (
	"fmt"

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
		p, refusal := r.buildPool(s, p)
		if refusal != nil {
			s.refuse(refusal)
			continue
		}
		s.wanted.Pools = append(s.wanted.Pools, *p)
	}
}

// buildPool resolves a pool and asks all rules about it.
func (r *run) buildPool(s *service, p *v1alpha1.ServerPool) (*v1alpha1.ServerPool, *Refusal) {
	for _, rule := range poolRules {
		if refusal := rule(p); refusal != nil {
			return nil, refusal
		}
	}
	p, refusal := r.resolve(s, p)
	if refusal != nil {
		return nil, refusal
	}
	if refusal := r.refusePool(s.owner, p); refusal != nil {
		return nil, refusal
	}
	for _, rule := range usageRules {
		if refusal := rule(r, s, p); refusal != nil {
			return nil, refusal
		}
	}
	return p, nil
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
	for _, m := range members(p) {
		addr, ok := usable(m.Address)
		if !ok {
			return badField("%s.address %q is not a usable IPv4 or IPv6 address: write the address the server has on the network in canonical form, for example 192.0.2.11 or 2001:db8::11", m.where(p), clip(m.Address))
		}
		endpoint := fmt.Sprint(addr, serverPort(p, &m.Server))
		if other, twice := seen[endpoint]; twice {
			return badField("spec.serverPools[%s]: servers %s and %s have the same address %s: remove one, or write its own address", p.Name, other, m.Name, addr)
		}
		seen[endpoint] = m.Name
		if vip := r.occupied.refuseServer(b, addr); vip != nil {
			return refusef(v1alpha1.ReasonAddressInUse,
				"%s.address %s is a virtual IP of %s: write the server's own address", m.where(p), addr, vip.name)
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
