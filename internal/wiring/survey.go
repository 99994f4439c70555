package wiring

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/truepacs/balancer/dataplane/announce"
	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif"
	"github.com/truepacs/balancer/dataplane/nft"
	"github.com/truepacs/balancer/dataplane/preflight"
	"github.com/truepacs/balancer/internal/translate"
)

// What one survey asks the segment at most; more are asked by turns. A site of a usual size is asked
// as a whole each time.
const (
	atOnce       = 128 // questions at a time
	mostVIPs     = 256
	mostServers  = 256
	mostOfServer = 8 // virtual IPs of one server
)

// surveyor gathers facts for preflight.Judge. It leaves nothing in the kernel.
type surveyor struct {
	host   preflight.Host
	netif  *netif.Driver
	prober announce.Prober
	ipvs   *ipvs.Driver
	// replies remembers across surveys, which come one after the other.
	replies *preflight.Replies
	nft     *nft.Driver
	marks   translate.MarkRange

	holders rotation[netip.Addr, []net.HardwareAddr]
	servers rotation[netip.Addr, preflight.Server]
	// accepts has for each server which virtual IPs it is silent on; by Survey only.
	accepts map[netip.Addr]*rotation[netip.AddrPort, bool]
}

// ofServers asks for servers, of which there may be many and many may be switched off.
func (s *surveyor) ofServers() announce.Prober {
	return announce.Prober{Network: s.prober.Network, Count: 2, Interval: 250 * time.Millisecond}
}

// Survey implements agent.Surveyor. What cannot be read raises no finding; the error says why. What
// packets showed lasts for less than the time between two surveys, so it is read at both ends.
func (s *surveyor) Survey(ctx context.Context, node model.Node) ([]model.Finding, error) {
	if node.Empty() {
		return []model.Finding{}, nil
	}
	facts := preflight.Facts{Marks: ^uint32(0) << s.marks.Bits}
	before, errBefore := s.nft.Seen(ctx)
	errs := []error{errBefore, s.settings(ctx, node, &facts), s.neighbours(ctx, node, &facts)}
	after, errAfter := s.nft.Seen(ctx)
	s.packets(&facts, before, after)
	return append([]model.Finding{}, preflight.Judge(node, facts)...), errors.Join(append(errs, errAfter)...)
}

// packets adds what packets showed. Answers to questions of this host itself are as they should be.
func (s *surveyor) packets(facts *preflight.Facts, all ...nft.Seen) {
	facts.Through, facts.Unmarked = map[netip.Addr][]net.HardwareAddr{}, map[preflight.Destination]bool{}
	for _, seen := range all {
		for _, r := range seen.Through {
			known := slices.ContainsFunc(facts.Through[r.VIP], func(mac net.HardwareAddr) bool { return bytes.Equal(mac, r.MAC) })
			if !known && !ownAddress(facts.Interfaces, r.Client) {
				facts.Through[r.VIP] = append(facts.Through[r.VIP], r.MAC)
			}
		}
		for _, d := range seen.Unmarked {
			facts.Unmarked[preflight.Destination(d)] = true
		}
	}
	for _, macs := range facts.Through {
		slices.SortFunc(macs, func(a, b net.HardwareAddr) int { return bytes.Compare(a, b) })
	}
}

func ownAddress(interfaces []preflight.Interface, a netip.Addr) bool {
	return slices.ContainsFunc(interfaces, func(i preflight.Interface) bool {
		return slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
	})
}

// settings reads what this host has.
func (s *surveyor) settings(ctx context.Context, node model.Node, facts *preflight.Facts) error {
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
	facts.Toward = toward(node, netif.Rtnetlink{}.Routes())
	errs = append(errs, err)
	facts.Sockets, err = s.host.Sockets(node)
	errs = append(errs, err)
	facts.IPVS.Services, facts.IPVS.Count, err = s.ipvs.Foreign(ctx, 3)
	facts.IPVS.KubeProxy = s.host.KubeProxy()
	errs = append(errs, err)
	facts.Unanswered, err = s.unanswered(ctx, node)
	return errors.Join(append(errs, err)...)
}

// toward is the interface by which each server of SNAT over IPv4 is reached; those of whom that is not
// known now are left out, which the agent reports.
func toward(node model.Node, route func(netip.Addr) (string, error)) map[netip.Addr]string {
	found := map[netip.Addr]string{}
	for i := range node.Services {
		for _, server := range node.Services[i].Servers {
			if cmp.Or(server.Forwarding, node.Services[i].Forwarding) != model.SNAT || !server.Address.Is4() {
				continue
			}
			if name, err := route(server.Address); err == nil {
				found[server.Address] = name
			}
		}
	}
	return found
}

// unanswered reads the kernel's counters if there is a server whose replies have to come back.
func (s *surveyor) unanswered(ctx context.Context, node model.Node) (map[string][]netip.Addr, error) {
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
// servers have, and which virtual IPs they accept.
func (s *surveyor) neighbours(ctx context.Context, node model.Node, facts *preflight.Facts) error {
	var group errgroup.Group
	group.SetLimit(atOnce)
	vips, interfaces := map[netip.Addr]string{}, onSegment(node, facts.Interfaces)
	for _, v := range node.VirtualIPs {
		vips[v.Address] = v.Interface
	}
	everyVIP, everyServer := sorted(vips), sorted(interfaces)
	for _, vip := range s.holders.due(everyVIP, mostVIPs) {
		group.Go(func() error {
			holders, err := s.prober.Holders(ctx, vips[vip], vip)
			s.holders.note(vip, holders)
			return err
		})
	}
	asked := directPorts(node)
	s.keepServers(everyServer)
	for _, address := range s.servers.due(everyServer, mostServers) {
		i, accepts := interfaces[address], s.accepts[address]
		group.Go(func() error {
			server, err := s.server(ctx, address, i, asked[address], accepts)
			s.servers.note(address, server)
			return err
		})
	}
	err := group.Wait()
	facts.Neighbours, facts.Servers = s.holders.answers(everyVIP), s.servers.answers(everyServer)
	return err
}

// sorted returns the keys of a map in order.
func sorted[V any](m map[netip.Addr]V) []netip.Addr {
	return slices.SortedFunc(maps.Keys(m), netip.Addr.Compare)
}

// keepServers has a memory for each server and for no other.
func (s *surveyor) keepServers(all []netip.Addr) {
	kept := make(map[netip.Addr]*rotation[netip.AddrPort, bool], len(all))
	for _, a := range all {
		if kept[a] = s.accepts[a]; kept[a] == nil {
			kept[a] = &rotation[netip.AddrPort, bool]{}
		}
	}
	s.accepts = kept
}

// server asks one server: is it there, what does it take. ports are those of virtual IPs that it
// should accept.
func (s *surveyor) server(ctx context.Context, address netip.Addr, i preflight.Interface, ports []netip.AddrPort, accepts *rotation[netip.AddrPort, bool]) (preflight.Server, error) {
	var known preflight.Server
	mac, err := s.ofServers().Resolve(ctx, i.Name, address)
	if errors.Is(err, announce.ErrNoAnswer) {
		return known, nil // the health checks say so already
	}
	if err != nil {
		return known, err
	}
	known.MAC = mac
	var asking errgroup.Group
	asking.Go(func() (err error) {
		known.MTU, err = s.host.MTU(ctx, address, i.MTU)
		return err
	})
	way := preflight.Way{Interface: i.Name, From: sourceFor(i, address), MAC: mac}
	for _, vip := range accepts.due(ports, mostOfServer) {
		asking.Go(func() error {
			silent, err := s.silent(ctx, way, address, vip)
			accepts.note(vip, silent)
			return err
		})
	}
	err = asking.Wait()
	for vip, silent := range accepts.answers(ports) {
		if silent {
			known.NoVIP = append(known.NoVIP, vip.Addr())
		}
	}
	slices.SortFunc(known.NoVIP, netip.Addr.Compare)
	return known, err
}

// silent tells whether a server does not answer on a virtual IP although it does on its own
// address. A server that answers on neither is switched off or behind a firewall: nothing is known.
func (s *surveyor) silent(ctx context.Context, way preflight.Way, own netip.Addr, vip netip.AddrPort) (bool, error) {
	if yes, err := s.host.Accepts(ctx, way, vip); yes || err != nil {
		return false, err
	}
	return s.host.Accepts(ctx, way, netip.AddrPortFrom(own, vip.Port()))
}

// sourceFor is this host's own address on the network of a server.
func sourceFor(i preflight.Interface, server netip.Addr) netip.Addr {
	for _, p := range i.Addresses {
		if !p.IsSingleIP() && p.Contains(server) {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// directPorts are, by server of direct routing, the virtual IPs that it should accept, each with
// one port of TCP. A server in maintenance is left alone.
func directPorts(node model.Node) map[netip.Addr][]netip.AddrPort {
	found := map[netip.Addr][]netip.AddrPort{}
	for i := range node.Services {
		service := &node.Services[i]
		for _, server := range service.Servers {
			way := cmp.Or(server.Forwarding, service.Forwarding)
			if way != model.DirectRouting || server.State == model.Maintenance {
				continue
			}
			for _, at := range onePortEach(service) {
				if !slices.ContainsFunc(found[server.Address], func(p netip.AddrPort) bool { return p.Addr() == at.Addr() }) {
					found[server.Address] = append(found[server.Address], at)
				}
			}
		}
	}
	return found
}

// onePortEach are the addresses of a service, each with the first of its TCP ports.
func onePortEach(service *model.VirtualService) []netip.AddrPort {
	var out []netip.AddrPort
	for _, m := range service.Matches() {
		ports := m.Ports
		for _, r := range m.PortRanges {
			ports = append(ports[:len(ports):len(ports)], r.First)
		}
		if m.Protocol != model.TCP || len(ports) == 0 {
			continue
		}
		for _, a := range m.Addresses {
			out = append(out, netip.AddrPortFrom(a, ports[0]))
		}
	}
	return out
}

// onSegment are the real servers of layer 4 that are on a network of this host, with the interface.
func onSegment(node model.Node, interfaces []preflight.Interface) map[netip.Addr]preflight.Interface {
	found := map[netip.Addr]preflight.Interface{}
	for _, service := range node.Services {
		for _, server := range service.Servers {
			for _, i := range interfaces {
				if sourceFor(i, server.Address).IsValid() {
					found[server.Address] = i
				}
			}
		}
	}
	return found
}
