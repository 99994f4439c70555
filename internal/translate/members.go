package translate

import (
	"net/netip"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
)

// member is a server of either list of a pool.
type member struct {
	v1alpha1.Server
	// list is the field that it is in.
	list string
	// fallback tells servers that are used while all others are down.
	fallback bool
	// mode is its own mode; empty: the service's.
	mode v1alpha1.Mode
}

// members are the servers of a pool, then its fallback servers.
func members(p *v1alpha1.ServerPool) []member {
	out := make([]member, 0, len(p.Servers)+len(p.FallbackServers))
	for _, s := range p.Servers {
		out = append(out, member{Server: s, list: "servers"})
	}
	for _, f := range p.FallbackServers {
		out = append(out, member{Server: f.Server, list: "fallbackServers", fallback: true, mode: v1alpha1.Mode(f.Mode)})
	}
	return out
}

// where is the path of a server in the spec.
func (m *member) where(p *v1alpha1.ServerPool) string {
	return "spec.serverPools[" + p.Name + "]." + m.list + "[" + m.Name + "]"
}

// forwarding is how packets reach the server.
func (m *member) forwarding(service model.Forwarding) model.Forwarding {
	if m.mode == "" {
		return service
	}
	return forwarding(m.mode)
}

// state is what the administrator wants of the server.
func (m *member) state() model.ServerState {
	switch m.State {
	case v1alpha1.StateDrain:
		return model.Drain
	case v1alpha1.StateMaintenance:
		return model.Maintenance
	}
	return model.Active
}

// unweighted tells a server that gets no new connections because its weight is 0.
func (m *member) unweighted() bool { return m.Weight != nil && *m.Weight == 0 }

// addr is the server's address; it was checked when the pool was built.
func (m *member) addr() netip.Addr {
	addr, _ := netip.ParseAddr(m.Address)
	return addr
}

// forwarding is that of a layer 4 mode; empty: it is none.
func forwarding(mode v1alpha1.Mode) model.Forwarding {
	switch mode {
	case v1alpha1.ModeL4DR:
		return model.DirectRouting
	case v1alpha1.ModeL4NAT:
		return model.NAT
	case v1alpha1.ModeL4SNAT:
		return model.SNAT
	case v1alpha1.ModeL4Tunnel:
		return model.Tunnel
	}
	return ""
}

// forwarding is how a service's packets reach its servers; empty: it is not layer 4.
func (s *service) forwarding() model.Forwarding { return forwarding(s.spec.Mode) }

// keepsDestination tells ways that deliver packets with the virtual IP and port they came to.
func keepsDestination(f model.Forwarding) bool { return f == model.DirectRouting || f == model.Tunnel }
