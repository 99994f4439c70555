// Package serverspec says what a real server has to be prepared for: from balancers, or from what an
// administrator writes behind a command. It is pure.
//
// Of this module it may import api, dataplane/model and dataplane/realserver/setup.
package serverspec

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/realserver/setup"
)

// ErrNothing means that no service needs the server to be prepared.
var ErrNothing = errors.New("no service of mode L4DR or L4Tunnel passes packets to it, so there is nothing to prepare: " +
	"the other modes need no change of the servers")

// Server chooses servers of pools by name and address.
type Server func(name, address string) bool

// Any chooses all servers.
func Any(string, string) bool { return true }

// Called chooses the servers that have a text as name or address.
func Called(text string) Server {
	return func(name, address string) bool { return name == text || address == text }
}

// Having chooses the servers that have one of these addresses.
func Having(own []netip.Addr) Server {
	return func(_, address string) bool {
		a, err := netip.ParseAddr(address)
		return err == nil && slices.Contains(own, a)
	}
}

// Of returns what a server has to be prepared for, and the addresses that the chosen servers have in
// the pools. Servers that are pods of a Service have none and are chosen by Any only. A server that is
// reached both directly and through a tunnel is prepared for tunnels, which is both. The error wraps
// ErrNothing if there is nothing to do.
func Of(balancers []v1alpha1.TruePACSBalancer, chosen Server) (setup.Spec, []netip.Addr, error) {
	c := collector{ports: map[netip.Addr][]setup.Ports{}, method: setup.Loopback}
	for i := range balancers {
		c.balancer(&balancers[i].Spec, chosen)
	}
	if len(c.ports) == 0 {
		return setup.Spec{}, nil, ErrNothing
	}
	spec := setup.Spec{Method: c.method}
	for a, ports := range c.ports {
		slices.SortFunc(ports, func(a, b setup.Ports) int {
			return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last))
		})
		spec.VIPs = append(spec.VIPs, setup.VIP{Address: a, Ports: slices.Compact(ports)})
	}
	slices.SortFunc(spec.VIPs, func(a, b setup.VIP) int { return a.Address.Compare(b.Address) })
	slices.SortFunc(c.addresses, netip.Addr.Compare)
	return spec, slices.Compact(c.addresses), nil
}

// collector gathers what services ask of the chosen servers.
type collector struct {
	ports     map[netip.Addr][]setup.Ports
	method    setup.Method
	addresses []netip.Addr
}

func (c *collector) balancer(spec *v1alpha1.TruePACSBalancerSpec, chosen Server) {
	for i := range spec.VirtualServices {
		service := &spec.VirtualServices[i]
		at := slices.IndexFunc(spec.ServerPools, func(p v1alpha1.ServerPool) bool { return p.Name == service.ServerPool })
		if at < 0 {
			continue
		}
		for _, mode := range c.ways(&spec.ServerPools[at], service.Mode, chosen) {
			c.add(spec, service, mode)
		}
	}
}

// ways are the modes in which packets reach the chosen servers of a pool.
func (c *collector) ways(pool *v1alpha1.ServerPool, mode v1alpha1.Mode, chosen Server) []v1alpha1.Mode {
	var ways []v1alpha1.Mode
	visit := func(server v1alpha1.Server, mode v1alpha1.Mode) {
		if !keepsDestination(mode) || !chosen(server.Name, server.Address) {
			return
		}
		ways = append(ways, mode)
		if a, err := netip.ParseAddr(server.Address); err == nil {
			c.addresses = append(c.addresses, a)
		}
	}
	for _, server := range pool.Servers {
		visit(server, mode)
	}
	for _, server := range pool.FallbackServers {
		visit(server.Server, cmp.Or(v1alpha1.Mode(server.Mode), mode))
	}
	if pool.ServiceRef != nil {
		visit(v1alpha1.Server{Name: pool.ServiceRef.Name}, mode)
	}
	return ways
}

func keepsDestination(mode v1alpha1.Mode) bool {
	return mode == v1alpha1.ModeL4DR || mode == v1alpha1.ModeL4Tunnel
}

func (c *collector) add(spec *v1alpha1.TruePACSBalancerSpec, service *v1alpha1.VirtualService, mode v1alpha1.Mode) {
	if mode == v1alpha1.ModeL4Tunnel {
		c.method = setup.Tunnel
	}
	for _, v := range spec.VirtualIPs {
		a, err := netip.ParseAddr(v.Address)
		if err == nil && slices.Contains(service.VirtualIPs, v.Name) {
			c.ports[a] = append(c.ports[a], portsOf(service)...)
		}
	}
}

func portsOf(service *v1alpha1.VirtualService) []setup.Ports {
	protocol := cmp.Or(model.Protocol(service.Protocol), model.TCP)
	var ports []setup.Ports
	for _, p := range service.Ports {
		ports = append(ports, setup.Ports{Protocol: protocol, First: uint16(p), Last: uint16(p)})
	}
	for _, r := range service.PortRanges {
		ports = append(ports, setup.Ports{Protocol: protocol, First: uint16(r.First), Last: uint16(r.Last)})
	}
	return ports
}

// Written is what an administrator writes: each address gets all the ports.
func Written(vips, ports []string) (setup.Spec, error) {
	var all []setup.Ports
	for _, text := range ports {
		p, err := parsePorts(text)
		if err != nil {
			return setup.Spec{}, err
		}
		all = append(all, p)
	}
	var spec setup.Spec
	for _, text := range vips {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return setup.Spec{}, fmt.Errorf("--vip %q is no address: write 192.0.2.100 or 2001:db8::100", text)
		}
		spec.VIPs = append(spec.VIPs, setup.VIP{Address: a, Ports: all})
	}
	return spec, nil
}
