package ipvs

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/truepacs/balancer/dataplane/model"
)

const (
	// maxWeight is what the kernel's interface and its users agree on (linux/ip_vs.h has an int,
	// ipvsadm and keepalived end at 65,535).
	maxWeight = 65_535
	// maxPersistence is ipvsadm's limit.
	maxPersistence = 31 * 24 * time.Hour
)

var (
	errMark        = errors.New("the firewall mark is not in the configured range")
	errTwice       = errors.New("another service of this address family has the same firewall mark")
	errForwarding  = errors.New("not one of DirectRouting, Tunnel, NAT and SNAT")
	errScheduler   = errors.New("not one of rr, wrr, lc, wlc, sh, mh, sed, nq, fo and ovf")
	errFlags       = errors.New("only the schedulers sh and mh fall back or hash the port; take one of those or leave that out")
	errOnePacket   = errors.New("scheduling each packet by itself is for UDP without persistence")
	errTimeout     = errors.New("persistence must be whole seconds, 1 second to 31 days")
	errPrefix      = errors.New("the client prefix length is out of range")
	errMixed       = errors.New("its virtual IP addresses must be of one address family")
	errServer      = errors.New("no address that a server can have")
	errFamily      = errors.New("the server's address must be of the virtual IP address's family, IPv4 or IPv6")
	errWeight      = errors.New("the weight must be 0 to 65535")
	errSameServer  = errors.New("the service has this server twice; sum up their weights instead")
	errThreshold   = errors.New("the fewest connections must not be more than the most, nor stand without it")
	errPort        = errors.New("direct routing and tunnels cannot change the port; take the client's port, NAT, SNAT or layer 7")
	errPersistPort = errors.New("IPVS leaves the port as it is in a persistent service by firewall mark; take the client's port, leave persistence out, or take the scheduler sh or mh instead of it")
	errState       = errors.New("not one of Active, Drain and Maintenance")
)

// refuse says what of a service IPVS cannot do.
func (m Marks) refuse(s *model.VirtualService) error {
	hashes := s.Scheduler == model.SourceHash || s.Scheduler == model.MaglevHash
	switch {
	case !m.own(s.Mark):
		return fmt.Errorf("mark %#x: %w (base %#x, mask %#x)", s.Mark, errMark, m.Base, m.Mask)
	case !knownForwarding(s.Forwarding):
		return fmt.Errorf("forwarding %q: %w", s.Forwarding, errForwarding)
	case !knownScheduler(s.Scheduler):
		return fmt.Errorf("scheduler %q: %w", s.Scheduler, errScheduler)
	case s.SchedulerFlags != model.SchedulerFlags{} && !hashes:
		return fmt.Errorf("scheduler %s: %w", s.Scheduler, errFlags)
	case s.OnePacket && (s.Protocol != model.UDP || s.Persistence != nil):
		return errOnePacket
	case slices.ContainsFunc(s.Addresses, func(a netip.Addr) bool { return a.Is6() != s.IPv6() }):
		return errMixed
	}
	return refusePersistence(s)
}

func refusePersistence(s *model.VirtualService) error {
	p := s.Persistence
	if p == nil {
		return nil
	}
	most := 32
	if s.IPv6() {
		most = 128
	}
	switch {
	case p.Timeout < time.Second || p.Timeout > maxPersistence || p.Timeout%time.Second != 0:
		return fmt.Errorf("persistence of %s: %w", p.Timeout, errTimeout)
	case p.PrefixLength < 1 || p.PrefixLength > most:
		return fmt.Errorf("prefix length %d: %w: write 1 to %d", p.PrefixLength, errPrefix, most)
	}
	return nil
}

func knownForwarding(f model.Forwarding) bool {
	switch f {
	case model.DirectRouting, model.Tunnel, model.NAT, model.SNAT:
		return true
	}
	return false
}

func knownScheduler(s model.Scheduler) bool {
	switch s {
	case model.RoundRobin, model.WeightedRoundRobin, model.LeastConnection, model.WeightedLeastConnection,
		model.SourceHash, model.MaglevHash, model.ShortestExpectedDelay, model.NeverQueue,
		model.WeightedFailover, model.WeightedOverflow:
		return true
	}
	return false
}

// refuseServer says what of a server IPVS cannot do.
func refuseServer(s *model.VirtualService, server model.RealServer) error {
	a, how := server.Address, forwarding(s, server)
	switch {
	case !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.Is4In6() || a.Zone() != "" || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("address %s: %w", a, errServer)
	case a.Is6() != s.IPv6():
		return fmt.Errorf("address %s: %w", a, errFamily)
	case server.Weight < 0 || server.Weight > maxWeight:
		return fmt.Errorf("weight %d: %w", server.Weight, errWeight)
	case server.MinConnections > server.MaxConnections:
		return fmt.Errorf("connections %d to %d: %w", server.MinConnections, server.MaxConnections, errThreshold)
	case !knownForwarding(how):
		return fmt.Errorf("forwarding %q: %w", how, errForwarding)
	case server.State != model.Active && server.State != model.Drain:
		return fmt.Errorf("state %q: %w", server.State, errState)
	}
	return refusePort(s, server.Port, how)
}

// refusePort: ip_vs_core.c, ip_vs_sched_persist takes the destination's port only where the client
// came to the service's own, which one by firewall mark does not have.
func refusePort(s *model.VirtualService, port uint16, how model.Forwarding) error {
	switch {
	case port == 0 || port == onlyPort(s):
		return nil
	case how == model.DirectRouting || how == model.Tunnel:
		return fmt.Errorf("port %d: %w", port, errPort)
	case s.Persistence != nil:
		return fmt.Errorf("port %d: %w", port, errPersistPort)
	}
	return nil
}
