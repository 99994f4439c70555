package translate

import "github.com/truepacs/balancer/api/v1alpha1"

// addGateways makes a service without ports of each virtual IP with role Gateway: it is held,
// refused and kept like the addresses of services.
func (b *balancer) addGateways() {
	for i := range b.obj.Spec.VirtualIPs {
		v := &b.obj.Spec.VirtualIPs[i]
		if v.Role != v1alpha1.RoleGateway {
			continue
		}
		spec := &v1alpha1.VirtualService{Name: "@" + v.Name, VirtualIPs: []string{v.Name}}
		b.gateways = append(b.gateways, &service{owner: b, spec: spec, index: i, key: b.key(spec.Name), gateway: true})
	}
}

// where is the path in the spec.
func (s *service) where() string {
	if s.gateway {
		return "spec.virtualIPs[" + s.spec.VirtualIPs[0] + "]"
	}
	return "spec.virtualServices[" + s.spec.Name + "]"
}
