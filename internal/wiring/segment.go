package wiring

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/truepacs/balancer/dataplane/announce"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/preflight"
)

// segmentEvery is how often one asks the segment, which takes up to three seconds; what the host itself
// knows is read each time.
const segmentEvery = 4 * time.Second

// What one survey asks the segment at most; more are asked by turns. A site of a usual size is asked
// as a whole each time.
const (
	atOnce       = 128 // questions at a time
	mostVIPs     = 256
	mostServers  = 256
	mostOfServer = 8 // virtual IPs of one server
)

// ofServers asks for servers, of which there may be many and many may be switched off.
func ofServers(network announce.Network) announce.Prober {
	return announce.Prober{Network: network, Count: 2, Interval: 250 * time.Millisecond}
}

// segment is what there is to ask for.
type segment struct {
	vips    map[netip.Addr]string // their interfaces
	servers map[netip.Addr]neighbour
	ports   map[netip.Addr][]netip.AddrPort // that servers should accept
}

// neighbour is how a server of the segment is asked: on an interface, from an address of this host.
type neighbour struct {
	preflight.Interface
	from netip.Addr
}

// neighbours adds what the segment says. It is asked every few seconds, and at once if there is
// something else to ask for; else what it last said is how it is.
func (s *surveyor) neighbours(ctx context.Context, node model.Node, facts *preflight.Facts) error {
	about, err := s.about(node, facts.Interfaces)
	everyVIP, everyServer := sorted(about.vips), sorted(about.servers)
	if time.Since(s.asked) > segmentEvery-segmentEvery/8 || !reflect.DeepEqual(about, s.askedAbout) {
		s.asked, s.askedAbout = time.Now(), about
		err = errors.Join(err, s.ask(ctx, about, everyVIP, everyServer))
	}
	facts.Neighbours, facts.Servers = s.holders.answers(everyVIP), s.servers.answers(everyServer)
	return err
}

func (s *surveyor) about(node model.Node, interfaces []preflight.Interface) (segment, error) {
	vips := make(map[netip.Addr]string, len(node.VirtualIPs))
	for _, v := range node.VirtualIPs {
		vips[v.Address] = v.Interface
	}
	servers, err := onSegment(node, interfaces, s.host.Source)
	return segment{vips: vips, servers: servers, ports: directPorts(node)}, err
}

// ask asks the segment: who else has a virtual IP, which MAC address and largest packet the servers
// have, and which virtual IPs they accept. A question that failed leaves the last answer.
func (s *surveyor) ask(ctx context.Context, about segment, everyVIP, everyServer []netip.Addr) error {
	var group errgroup.Group
	group.SetLimit(atOnce)
	network := announce.Once(s.prober.Network)
	ofVIPs := s.prober
	ofVIPs.Network = network
	for _, vip := range s.holders.due(everyVIP, mostVIPs) {
		group.Go(func() error {
			holders, err := ofVIPs.Holders(ctx, about.vips[vip], vip)
			if err == nil {
				s.holders.note(vip, holders)
			}
			return err
		})
	}
	s.keepServers(everyServer)
	for _, address := range s.servers.due(everyServer, mostServers) {
		at, accepts := about.servers[address], s.accepts[address]
		group.Go(func() error {
			server, err := s.server(ctx, network, address, at, about.ports[address], accepts)
			if err == nil {
				s.servers.note(address, server)
			}
			return err
		})
	}
	return group.Wait()
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
func (s *surveyor) server(ctx context.Context, network announce.Network, address netip.Addr, at neighbour, ports []netip.AddrPort, accepts *rotation[netip.AddrPort, bool]) (preflight.Server, error) {
	known := preflight.Server{Interface: at.Name}
	mac, err := ofServers(network).Resolve(ctx, at.Name, address)
	if errors.Is(err, announce.ErrNoAnswer) {
		return known, nil // the health checks say so already
	}
	if err != nil {
		return known, err
	}
	known.MAC = mac
	var asking errgroup.Group
	asking.Go(func() (err error) {
		known.MTU, err = s.host.MTU(ctx, address, at.Largest(address))
		return err
	})
	way := preflight.Way{Interface: at.Name, Index: at.Index, From: at.from, MAC: mac}
	for _, vip := range accepts.due(ports, mostOfServer) {
		asking.Go(func() error {
			silent, err := s.silent(ctx, way, address, vip)
			if err == nil {
				accepts.note(vip, silent)
			}
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
	known := map[netip.Addr]map[netip.Addr]bool{} // of servers, the virtual IPs
	for i := range node.Services {
		service := &node.Services[i]
		ports := onePortEach(service)
		for _, server := range service.Servers {
			way := cmp.Or(server.Forwarding, service.Forwarding)
			if way != model.DirectRouting || server.State == model.Maintenance {
				continue
			}
			if known[server.Address] == nil {
				known[server.Address] = map[netip.Addr]bool{}
			}
			for _, at := range ports {
				if vips := known[server.Address]; !vips[at.Addr()] {
					vips[at.Addr()] = true
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

// onSegment are the real servers of layer 4 that are on a network of this host, with the way there. A
// host whose own address has a host prefix, as DHCPv6 gives them, is on no network by its addresses: then
// source, preflight.Host.Source, asks the kernel.
func onSegment(node model.Node, interfaces []preflight.Interface, source func(netip.Addr) (string, netip.Addr, bool, error)) (map[netip.Addr]neighbour, error) {
	found, elsewhere := map[netip.Addr]neighbour{}, map[netip.Addr]bool{}
	var errs []error
	for _, service := range node.Services {
		for _, server := range service.Servers {
			a := server.Address
			if _, there := found[a]; there || elsewhere[a] {
				continue
			}
			at, there, err := wayTo(a, interfaces, source)
			if errs = append(errs, err); there {
				found[a] = at
			}
			elsewhere[a] = !there
		}
	}
	return found, errors.Join(errs...)
}

// wayTo finds how a server of the segment is reached; only addresses of the host's own are a source.
func wayTo(server netip.Addr, interfaces []preflight.Interface, source func(netip.Addr) (string, netip.Addr, bool, error)) (neighbour, bool, error) {
	for _, i := range interfaces {
		if from := sourceFor(i, server); from.IsValid() {
			return neighbour{i, from}, true, nil
		}
	}
	hosts := slices.ContainsFunc(interfaces, func(i preflight.Interface) bool {
		return slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return p.IsSingleIP() && p.Addr().Is4() == server.Is4() })
	})
	if !hosts {
		return neighbour{}, false, nil
	}
	name, from, direct, err := source(server)
	for _, i := range interfaces {
		own := slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return p.Addr() == from })
		if err == nil && direct && i.Name == name && own {
			return neighbour{i, from}, true, nil
		}
	}
	return neighbour{}, false, err
}
