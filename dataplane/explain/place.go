package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/truepacs/balancer/dataplane/model"
)

// Place is what answers on an address and port: a layer 4 service, a layer 7 listener, or nothing.
type Place struct {
	Service  *model.VirtualService
	Listener *model.Listener
	// Held says that this host holds the address as a director.
	Held bool
}

// Locate finds what answers on a virtual IP address and port. Single ports come before ranges, as in
// the packet filter, and the kernel's services before the proxy's listeners.
func Locate(node *model.Node, to netip.AddrPort, protocol model.Protocol) Place {
	var p Place
	for _, v := range node.VirtualIPs {
		p.Held = p.Held || v.Address == to.Addr()
	}
	for _, names := range []func(*model.Match, uint16) bool{namesPort, namesRange} {
		for i := range node.Services {
			s := &node.Services[i]
			if p.Service == nil && slices.ContainsFunc(s.Matches(), func(m model.Match) bool {
				return m.Protocol == protocol && slices.Contains(m.Addresses, to.Addr()) && names(&m, to.Port())
			}) {
				p.Service = s
			}
		}
	}
	for i := range node.Proxy.Listeners {
		if l := &node.Proxy.Listeners[i]; p.Service == nil && protocol == model.TCP && l.Address == to {
			p.Listener = l
		}
	}
	return p
}

func namesPort(m *model.Match, port uint16) bool { return slices.Contains(m.Ports, port) }

func namesRange(m *model.Match, port uint16) bool {
	return slices.ContainsFunc(m.PortRanges, func(r model.PortRange) bool { return r.First <= port && port <= r.Last })
}

// nobody answers where nothing is declared.
func (a *Answer) nobody(p Place) {
	if !p.Held {
		a.Outcome = OutcomeElsewhere
		a.because("%s is no virtual IP that this host holds: ask on the director that status names, or write the address of a virtual IP", a.To.Addr())
		return
	}
	a.Outcome = OutcomeDropped
	a.because("no virtual service of %s declares %s port %d, and the packet filter drops what is not declared: the client hears nothing. Add the port to spec.virtualServices[].ports, or correct the client", a.To.Addr(), a.Protocol, a.To.Port())
}

func (a *Answer) because(format string, args ...any) {
	a.Why = append(a.Why, fmt.Sprintf(format, args...))
}

// belongsTo fills in balancer and service of a key, namespace/balancer/service.
func (a *Answer) belongsTo(key string) {
	at := strings.LastIndexByte(key, '/')
	a.Balancer, a.Service = key[:max(at, 0)], key[at+1:]
}
