package translate

import (
	"net/netip"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
)

// Limits of the API: lists of status.virtualServices[].programmed.
const (
	maxProgrammedList    = 64
	maxProgrammedServers = 2048
)

// programmed is what the status says that a node holds for a service; nil: it holds none of its
// addresses.
func (k *Kept) programmed(node string) *v1alpha1.ProgrammedService {
	if len(k.Addresses) == 0 {
		return nil
	}
	out := &v1alpha1.ProgrammedService{Node: node, Protocol: v1alpha1.ProtocolTCP, Mode: k.mode()}
	if k.Layer4 != nil {
		out.Protocol = v1alpha1.Protocol(k.Layer4.Protocol)
	}
	for _, addr := range addressesOf(*k) {
		out.Addresses = append(out.Addresses, addr.String())
	}
	for _, port := range k.Ports {
		out.Ports = append(out.Ports, int32(port))
	}
	for _, r := range k.PortRanges {
		out.PortRanges = append(out.PortRanges, v1alpha1.PortRange{First: int32(r.First), Last: int32(r.Last)})
	}
	if k.source() != "" {
		out.Servers = k.servers()
	}
	out.Addresses = out.Addresses[:min(len(out.Addresses), maxProgrammedList)]
	out.Servers = out.Servers[:min(len(out.Servers), maxProgrammedServers)]
	return out
}

// mode is the mode that a state was made of.
func (k *Kept) mode() v1alpha1.Mode {
	if k.Layer4 == nil {
		return v1alpha1.ModeL7SNAT
	}
	switch k.Layer4.Forwarding {
	case model.NAT:
		return v1alpha1.ModeL4NAT
	case model.SNAT:
		return v1alpha1.ModeL4SNAT
	case model.Tunnel:
		return v1alpha1.ModeL4Tunnel
	}
	return v1alpha1.ModeL4DR
}

// servers are those that a state reaches with an address of the director.
func (k *Kept) servers() []v1alpha1.ServerEndpoint {
	var out []v1alpha1.ServerEndpoint
	for i := range k.Pools {
		for _, m := range members(&k.Pools[i]) {
			if m.mode == "" {
				out = append(out, v1alpha1.ServerEndpoint{Address: m.Address, Port: int32(serverPort(&k.Pools[i], &m.Server))})
			}
		}
	}
	return out
}

// reported is what the balancer's status says that a director has programmed for a service; nil:
// nothing, or a gateway's address, of which the status says who holds it.
func (s *service) reported() *v1alpha1.ProgrammedService {
	if s.gateway {
		return nil
	}
	for i := range s.owner.obj.Status.VirtualServices {
		if v := &s.owner.obj.Status.VirtualServices[i]; v.Name == s.spec.Name {
			return v.Programmed
		}
	}
	return nil
}

// standing is what a programmed service takes.
func standing(p *v1alpha1.ProgrammedService) Demand {
	k := Kept{Director: p.Node, Ports: portsOf(p.Ports), PortRanges: rangesOf(p.PortRanges)}
	for _, text := range p.Addresses {
		if addr, err := netip.ParseAddr(text); err == nil {
			k.Addresses = append(k.Addresses, HeldAddress{Address: addr})
		}
	}
	if p.Mode == v1alpha1.ModeL7SNAT {
		k.Layer7 = []model.Listener{{}}
	} else {
		k.Layer4 = &model.VirtualService{Protocol: protocol(p.Protocol), Forwarding: forwarding(p.Mode)}
	}
	pool := v1alpha1.ServerPool{}
	for _, srv := range p.Servers {
		one := v1alpha1.Server{Address: srv.Address}
		if srv.Port != 0 {
			one.Port = &srv.Port
		}
		pool.Servers = append(pool.Servers, one)
	}
	k.Pools = []v1alpha1.ServerPool{pool}
	return demand(k, false)
}
