package wiring

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/truepacs/balancer/dataplane/announce"
	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif"
	"github.com/truepacs/balancer/dataplane/preflight"
)

// atOnce is how many neighbours are asked at a time.
const atOnce = 16

// surveyor gathers facts for preflight.Judge.
type surveyor struct {
	host   preflight.Host
	netif  *netif.Driver
	prober announce.Prober
	ipvs   *ipvs.Driver
	// replies remembers across surveys, which come one after the other.
	replies *preflight.Replies
}

// Survey implements agent.Surveyor. What cannot be read raises no finding; the error says why.
func (s surveyor) Survey(ctx context.Context, node model.Node) ([]model.Finding, error) {
	if node.Empty() {
		return []model.Finding{}, nil
	}
	var facts preflight.Facts
	errs := []error{s.settings(ctx, node, &facts), s.neighbours(ctx, node, &facts)}
	return append([]model.Finding{}, preflight.Judge(node, facts)...), errors.Join(errs...)
}

// settings reads what this host has.
func (s surveyor) settings(ctx context.Context, node model.Node, facts *preflight.Facts) error {
	all, err := s.netif.Interfaces(ctx)
	errs := []error{err}
	for _, i := range all {
		if i.Loopback || !i.Up {
			continue
		}
		known, err := s.host.Interface(preflight.Interface{Name: i.Name, MTU: i.MTU, Addresses: i.Addresses})
		facts.Interfaces = append(facts.Interfaces, known)
		errs = append(errs, err)
	}
	facts.Forwarding, err = s.host.Forwarding()
	errs = append(errs, err)
	facts.Sockets, err = s.host.Sockets(node)
	errs = append(errs, err)
	facts.IPVS.Services, facts.IPVS.Count, err = s.ipvs.Foreign(ctx, 3)
	facts.IPVS.KubeProxy = s.host.KubeProxy()
	errs = append(errs, err)
	facts.Unanswered, err = s.unanswered(ctx, node)
	return errors.Join(append(errs, err)...)
}

// unanswered reads the kernel's counters if there is a server whose replies have to come back.
func (s surveyor) unanswered(ctx context.Context, node model.Node) (map[string][]netip.Addr, error) {
	watched := map[preflight.Route]bool{}
	for i := range node.Services {
		for _, server := range node.Services[i].Servers {
			if preflight.MustAnswer(&node.Services[i], server) {
				watched[preflight.Route{Service: node.Services[i].Key, Server: server.Address}] = true
			}
		}
	}
	if len(watched) == 0 {
		return s.replies.Unanswered(nil), nil
	}
	all, err := s.ipvs.Stats(ctx)
	if err != nil {
		return nil, err
	}
	now := map[preflight.Route]preflight.Traffic{}
	for _, service := range all {
		for _, server := range service.Servers {
			if route := (preflight.Route{Service: service.Key, Server: server.Address.Addr()}); watched[route] {
				now[route] = preflight.Traffic{To: server.Counters.PacketsIn, From: server.Counters.PacketsOut}
			}
		}
	}
	return s.replies.Unanswered(now), nil
}

// neighbours asks the segment: who else has a virtual IP, which MAC address and largest packet the
// servers have.
func (s surveyor) neighbours(ctx context.Context, node model.Node, facts *preflight.Facts) error {
	facts.Neighbours, facts.Servers = map[netip.Addr][]net.HardwareAddr{}, map[netip.Addr]preflight.Server{}
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, vip := range node.VirtualIPs {
		group.Go(func() error {
			holders, err := s.prober.Holders(ctx, vip.Interface, vip.Address)
			mu.Lock()
			defer mu.Unlock()
			facts.Neighbours[vip.Address] = holders
			return err
		})
	}
	for address, i := range onSegment(node, facts.Interfaces) {
		group.Go(func() error {
			server, err := s.server(ctx, address, i)
			mu.Lock()
			defer mu.Unlock()
			facts.Servers[address] = server
			return err
		})
	}
	return group.Wait()
}

func (s surveyor) server(ctx context.Context, address netip.Addr, i preflight.Interface) (preflight.Server, error) {
	var known preflight.Server
	mac, err := s.prober.Resolve(ctx, i.Name, address)
	if errors.Is(err, announce.ErrNoAnswer) {
		return known, nil // the health checks say so already
	}
	if err != nil {
		return known, err
	}
	known.MAC = mac
	known.MTU, err = s.host.MTU(ctx, address, i.MTU)
	return known, err
}

// onSegment are the real servers of layer 4 that are on a network of this host, with the interface.
func onSegment(node model.Node, interfaces []preflight.Interface) map[netip.Addr]preflight.Interface {
	found := map[netip.Addr]preflight.Interface{}
	for _, service := range node.Services {
		for _, server := range service.Servers {
			for _, i := range interfaces {
				for _, p := range i.Addresses {
					if p.Contains(server.Address) {
						found[server.Address] = i
					}
				}
			}
		}
	}
	return found
}
