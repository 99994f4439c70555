package ipvs

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/truepacs/balancer/dataplane/model"
)

// maxWeight is what the kernel's interface and its users agree on (linux/ip_vs.h has an int,
// ipvsadm and keepalived end at 65,535).
const maxWeight = 65_535

// maxPersistence is ipvsadm's limit.
const maxPersistence = 31 * 24 * time.Hour

var (
	errMark       = errors.New("the firewall mark is not in the configured range")
	errTwice      = errors.New("another service has the same firewall mark")
	errForwarding = errors.New("this version forwards by direct routing only")
	errScheduler  = errors.New("not one of rr, wrr, lc and wlc")
	errTimeout    = errors.New("persistence must be whole seconds, 1 second to 31 days")
	errPrefix     = errors.New("the client prefix length must be 1 to 32")
	errServer     = errors.New("the server's address is not IPv4; this version balances IPv4 only")
	errWeight     = errors.New("the weight must be 0 to 65535")
	errSameServer = errors.New("the service has this server twice; sum up their weights instead")
)

// target is a wanted service with its servers by Destination.id.
type target struct {
	key     string
	service Service
	servers map[string]Destination
	names   map[string]string // names of servers by Destination.id
	// keep: the service is wanted, but not as it stands; what is there stays as it is.
	keep bool
}

// desired turns services into targets by mark. A service that cannot be programmed is kept as it
// is; a server that cannot be programmed is left out.
func (m Marks) desired(all []model.VirtualService) (map[uint32]target, []error) {
	targets := make(map[uint32]target, len(all))
	var errs []error
	fail := func(key string, err error) {
		errs = append(errs, &model.ItemError{Key: key, Reason: ReasonKernelRefused, Err: err})
	}
	for _, s := range all {
		if _, twice := targets[s.Mark]; twice {
			fail(s.Key, fmt.Errorf("%w %#x", errTwice, s.Mark))
			continue
		}
		service, err := m.serviceOf(s)
		if err != nil {
			fail(s.Key, err)
			targets[s.Mark] = target{key: s.Key, keep: true}
			continue
		}
		t := target{key: s.Key, service: service, servers: map[string]Destination{}, names: map[string]string{}}
		for _, server := range s.Servers {
			if err := t.add(server); err != nil {
				fail(s.Key, fmt.Errorf("server %s: %w", server.Name, err))
			}
		}
		targets[s.Mark] = t
	}
	return targets, errs
}

func (m Marks) serviceOf(s model.VirtualService) (Service, error) {
	service := Service{Mark: s.Mark, Scheduler: string(s.Scheduler), PrefixLength: 32}
	switch {
	case !m.own(s.Mark):
		return service, fmt.Errorf("mark %#x: %w (base %#x, mask %#x)", s.Mark, errMark, m.Base, m.Mask)
	case s.Forwarding != model.DirectRouting:
		return service, fmt.Errorf("forwarding %q: %w", s.Forwarding, errForwarding)
	}
	switch s.Scheduler {
	case model.RoundRobin, model.WeightedRoundRobin, model.LeastConnection, model.WeightedLeastConnection:
	default:
		return service, fmt.Errorf("scheduler %q: %w", s.Scheduler, errScheduler)
	}
	if s.Persistence == nil {
		return service, nil
	}
	return service.persistent(*s.Persistence)
}

func (s Service) persistent(p model.Persistence) (Service, error) {
	if p.Timeout < time.Second || p.Timeout > maxPersistence || p.Timeout%time.Second != 0 {
		return s, fmt.Errorf("persistence of %s: %w", p.Timeout, errTimeout)
	}
	if p.PrefixLength < 1 || p.PrefixLength > 32 {
		return s, fmt.Errorf("prefix length %d: %w", p.PrefixLength, errPrefix)
	}
	s.Flags |= FlagPersistent
	s.Timeout = uint32(p.Timeout / time.Second)
	s.PrefixLength = p.PrefixLength
	return s, nil
}

func (t target) add(server model.RealServer) error {
	d := Destination{Address: server.Address, Forward: ForwardDirectRoute, Weight: server.Weight}
	switch {
	case !server.Address.Is4() || server.Address == netip.IPv4Unspecified():
		return fmt.Errorf("address %s: %w", server.Address, errServer)
	case server.Weight < 0 || server.Weight > maxWeight:
		return fmt.Errorf("weight %d: %w", server.Weight, errWeight)
	}
	if _, twice := t.servers[d.id()]; twice {
		return fmt.Errorf("address %s: %w", server.Address, errSameServer)
	}
	t.servers[d.id()] = d
	t.names[d.id()] = server.Name
	return nil
}
