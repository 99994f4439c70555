package ipvs

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/model"
)

// target is a wanted service.
type target struct {
	present
	key   string
	names map[netip.AddrPort]string // of servers by address and port of their destination
	// keep: the service is wanted, but not as it stands; what is there stays as it is.
	keep bool
	// kept are servers that are wanted, but not as they stand; destinations with these
	// addresses stay as they are.
	kept []netip.Addr
}

// desired turns services into targets. A service that cannot be programmed, and a server that
// cannot be, is kept as it is.
func (m Marks) desired(all []model.VirtualService) (map[genl.ServiceID]target, []error) {
	targets := make(map[genl.ServiceID]target, len(all))
	var errs []error
	fail := func(key string, err error) {
		errs = append(errs, &model.ItemError{Key: key, Reason: ReasonKernelRefused, Err: err})
	}
	for i := range all {
		s := &all[i]
		id := genl.ByMark(s.Mark, s.IPv6())
		if _, twice := targets[id]; twice {
			fail(s.Key, fmt.Errorf("%w %#x", errTwice, s.Mark))
			continue
		}
		service, err := m.serviceOf(s, id)
		if err != nil {
			fail(s.Key, err)
			targets[id] = target{key: s.Key, keep: true}
			continue
		}
		t := target{key: s.Key, present: present{service: service}, names: make(map[netip.AddrPort]string, len(s.Servers))}
		for _, server := range s.Servers {
			if err := t.add(s, server); err != nil {
				fail(s.Key, fmt.Errorf("server %s: %w", server.Name, err))
				t.kept = append(t.kept, server.Address)
			}
		}
		t.sort()
		targets[id] = t
	}
	return targets, errs
}

// serviceOf is the service as the kernel shall have it.
func (m Marks) serviceOf(s *model.VirtualService, id genl.ServiceID) (genl.Service, error) {
	service := genl.Service{ServiceID: id, Scheduler: string(s.Scheduler), PrefixLength: hostLength(id)}
	if err := m.refuse(s); err != nil {
		return service, err
	}
	if s.OnePacket {
		service.Flags |= genl.FlagOnePacket
	}
	if s.SchedulerFlags.Fallback {
		service.Flags |= genl.FlagFallback
	}
	if s.SchedulerFlags.Port {
		service.Flags |= genl.FlagPort
	}
	if s.Persistence != nil {
		service.Flags |= genl.FlagPersistent
		service.TimeoutSeconds = uint32(s.Persistence.Timeout.Seconds())
		service.PrefixLength = s.Persistence.PrefixLength
	}
	return service, nil
}

// hostLength is the length of a prefix that is one address.
func hostLength(id genl.ServiceID) int {
	if id.Is6() {
		return 128
	}
	return 32
}

// add adds a server, unless it is in maintenance.
func (t *target) add(s *model.VirtualService, server model.RealServer) error {
	if server.State == model.Maintenance {
		return nil
	}
	if err := refuseServer(s, server); err != nil {
		return err
	}
	d := destinationOf(s, server)
	if _, twice := t.names[d.Address]; twice {
		return fmt.Errorf("address %s: %w", server.Address, errSameServer)
	}
	t.servers = append(t.servers, d)
	t.names[d.Address] = server.Name
	return nil
}

// destinationOf is a server as the kernel shall have it. Port 0 is the port that the client came to.
func destinationOf(s *model.VirtualService, server model.RealServer) genl.Destination {
	d := genl.Destination{
		Address: netip.AddrPortFrom(server.Address, 0), Forward: genl.DirectRoute, Weight: server.Weight,
		UpperThreshold: server.MaxConnections, LowerThreshold: server.MinConnections,
	}
	switch forwarding(s, server) {
	case model.Tunnel:
		d.Forward = genl.Tunnel
	case model.NAT, model.SNAT:
		d.Forward = genl.Masquerade
		if server.Port != onlyPort(s) {
			d.Address = netip.AddrPortFrom(server.Address, server.Port)
		}
	}
	if server.State == model.Drain {
		d.Weight = 0
	}
	return d
}

// forwarding is how packets reach a server.
func forwarding(s *model.VirtualService, server model.RealServer) model.Forwarding {
	if server.Forwarding != "" {
		return server.Forwarding
	}
	return s.Forwarding
}

// onlyPort is the port of a service that has one; else 0.
func onlyPort(s *model.VirtualService) uint16 {
	if len(s.Ports) != 1 || len(s.PortRanges) != 0 || slices.ContainsFunc(s.Also, func(m model.Match) bool {
		return len(m.PortRanges) > 0 || slices.ContainsFunc(m.Ports, func(p uint16) bool { return p != s.Ports[0] })
	}) {
		return 0
	}
	return s.Ports[0]
}
