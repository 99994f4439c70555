package preflight

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/truepacs/balancer/dataplane/model"
)

// Judge says what is wrong for a host that has to do what node says. Findings are in a fixed
// order: the gravest first, then as node has its items.
func Judge(node model.Node, f Facts) []model.Finding {
	j := judge{node: node, facts: f}
	for _, detect := range []func(){
		j.owners, j.serversWithoutVIP, j.portsTaken, j.gateway, j.marks, j.forwarding, j.returnPath,
		j.sourceCheck, j.mtu, j.offload, j.foreign, j.serversThatCall,
	} {
		detect()
	}
	return j.found
}

type judge struct {
	node     model.Node
	facts    Facts
	found    []model.Finding
	unmarked map[netip.Addr][]Destination // of the facts, by address; nil: not yet sorted
}

func (j *judge) find(key, reason, format string, args ...any) {
	j.found = append(j.found, model.Finding{Key: key, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

func (j *judge) advise(key, reason, format string, args ...any) {
	j.find(key, reason, format, args...)
	j.found[len(j.found)-1].Advice = true
}

// owners: somebody else answers for a virtual IP.
func (j *judge) owners() {
	for _, v := range j.node.VirtualIPs {
		for _, mac := range j.facts.Neighbours[v.Address] {
			if name, address := j.serverWith(mac); name != "" {
				j.find(v.Key, ReasonServerAnswersARP, "Server %s (%s, %s) answers ARP for the virtual IP %s: clients reach that one server only, past the director. "+
					"On the server take the address off its network interface, put it on lo as /32 and set net.ipv4.conf.all.arp_ignore=1 and arp_announce=2: run the script that truepacs realserver-setup prints.",
					name, address, mac, v.Address)
				continue
			}
			j.find(v.Key, ReasonAddressOwnedByOther, "Another host (%s) answers for the virtual IP %s: two hosts have one address. "+
				"Find it by its MAC address in the switch's table and take the address from it, or choose another virtual IP.", mac, v.Address)
		}
	}
}

// serverWith is the real server that has a MAC address.
func (j *judge) serverWith(mac net.HardwareAddr) (name string, address netip.Addr) {
	for i := range j.node.Services {
		for _, s := range j.node.Services[i].Servers {
			if known, there := j.facts.Servers[s.Address]; there && bytes.Equal(known.MAC, mac) {
				return s.Name, s.Address
			}
		}
	}
	return "", netip.Addr{}
}

// serversWithoutVIP: a server of a direct-routing service that does not accept the address.
func (j *judge) serversWithoutVIP() {
	j.eachDirect(func(service *model.VirtualService, server model.RealServer) {
		for _, vip := range j.facts.Servers[server.Address].NoVIP {
			if slices.Contains(addresses(service), vip) {
				j.find(service.Key, ReasonServerWithoutVIP, "Server %s (%s) answers on its own address and is silent on the virtual IP %s: clients that are given to it get no answer. "+
					"Put the address on lo of the server (run there the script that truepacs realserver-setup prints) and let its firewall accept it.", server.Name, server.Address, vip)
			}
		}
	})
}

// addresses are all addresses of a service, those of the further services of its persistence group too.
func addresses(s *model.VirtualService) []netip.Addr {
	if len(s.Also) == 0 {
		return s.Addresses
	}
	all := slices.Clone(s.Addresses)
	for _, m := range s.Also {
		for _, a := range m.Addresses {
			if !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return all
}

func (j *judge) eachDirect(visit func(*model.VirtualService, model.RealServer)) {
	for i := range j.node.Services {
		for _, server := range j.node.Services[i].Servers {
			if forwarding(&j.node.Services[i], server) == model.DirectRouting {
				visit(&j.node.Services[i], server)
			}
		}
	}
}

func forwarding(service *model.VirtualService, server model.RealServer) model.Forwarding {
	if server.Forwarding != "" {
		return server.Forwarding
	}
	return service.Forwarding
}

// portsTaken: another program listens where a layer 7 listener should.
func (j *judge) portsTaken() {
	for _, l := range j.node.Proxy.Listeners {
		for _, s := range j.facts.Sockets {
			if s.Own || s.Address.Port() != l.Address.Port() || !covers(s.Address.Addr(), l.Address.Addr()) {
				continue
			}
			program := s.Program
			if program == "" {
				program = "another program"
			}
			j.find(l.Service, ReasonPortTaken, "%s on this host listens on %s, so the proxy cannot listen on %s. "+
				"Make that program listen on the host's own address only, or stop it, or give the service another port.", program, s.Address, l.Address)
		}
	}
}

// covers tells whether a socket on one address keeps others from listening on another one.
func covers(socket, address netip.Addr) bool {
	return socket == address || socket.IsUnspecified() && (socket.Is6() || address.Is4())
}

// gateway: replies of servers come through the director. The kernel drops them: their source is
// an address of the director itself (fib_validate_source, net/ipv4/fib_frontend.c).
func (j *judge) gateway() {
	for i := range j.node.Services {
		service := &j.node.Services[i]
		if !keepsDestination(service) {
			continue
		}
		for _, vip := range addresses(service) {
			for _, mac := range j.facts.Through[vip] {
				who := "the host " + mac.String()
				if name, address := j.serverWith(mac); name != "" {
					who = fmt.Sprintf("server %s (%s, %s)", name, address, mac)
				}
				j.find(service.Key, ReasonDirectorIsGateway, "Replies of %s with source %s come to this director instead of going to the clients: it is the gateway of the server, and its kernel drops them, "+
					"so clients behind a router get no answer. Give the server the real router as its default gateway (ip route replace default via ROUTER).", who, vip)
			}
		}
	}
}

// keepsDestination tells whether servers of the service answer clients themselves.
func keepsDestination(service *model.VirtualService) bool {
	ways := []model.Forwarding{model.DirectRouting, model.Tunnel}
	return slices.Contains(ways, service.Forwarding) || slices.ContainsFunc(service.Servers, func(s model.RealServer) bool {
		return slices.Contains(ways, forwarding(service, s))
	})
}

// marks: something between nftables and IPVS changes firewall marks.
func (j *judge) marks() {
	for i := range j.node.Services {
		s := &j.node.Services[i]
		if at, altered := j.firstUnmarked(s); altered {
			j.find(s.Key, ReasonMarksAltered, "Packets to %s lose their firewall mark %#x before the kernel's load balancer sees them: another program (a network plug-in, for example) rewrites marks, and clients are refused. "+
				"Find it by nft list ruleset and iptables-save -t mangle, and make it leave the bits %#x alone, or set another range in the installation's settings (markRange).", at, s.Mark, j.facts.Marks)
		}
	}
}

// firstUnmarked is the first of the destinations of a service that packets without its mark went to.
func (j *judge) firstUnmarked(s *model.VirtualService) (netip.AddrPort, bool) {
	if j.unmarked == nil {
		j.unmarked = map[netip.Addr][]Destination{}
		for d := range j.facts.Unmarked {
			j.unmarked[d.Address.Addr()] = append(j.unmarked[d.Address.Addr()], d)
		}
	}
	var first netip.AddrPort
	if len(j.unmarked) == 0 {
		return first, false
	}
	for _, a := range addresses(s) {
		for _, d := range j.unmarked[a] {
			if matches(s, d) && (!first.IsValid() || d.Address.Compare(first) < 0) {
				first = d.Address
			}
		}
	}
	return first, first.IsValid()
}

func matches(s *model.VirtualService, d Destination) bool {
	return slices.ContainsFunc(s.Matches(), func(m model.Match) bool {
		port := d.Address.Port()
		return m.Protocol == d.Protocol && slices.Contains(m.Addresses, d.Address.Addr()) && (slices.Contains(m.Ports, port) ||
			slices.ContainsFunc(m.PortRanges, func(r model.PortRange) bool { return r.First <= port && port <= r.Last }))
	})
}

// forwarding: translated packets need the host to forward, which the agent sees to.
func (j *judge) forwarding() {
	for i := range j.node.Services {
		service := &j.node.Services[i]
		for _, server := range service.Servers {
			if setting := j.notForwarded(forwarding(service, server), server.Address); setting != "" {
				j.find(service.Key, ReasonForwardingOff, "This host does not pass on what server %s (%s) sends back: %s is 0. The agent sets it to 1, so another program or the administrator has taken it back. "+
					"Set it in /etc/sysctl.d, and look there and in the network's configuration for what sets it to 0.", server.Name, server.Address, setting)
				break
			}
		}
	}
}

// notForwarded is the setting that keeps replies of a server from being passed on; empty: none.
func (j *judge) notForwarded(how model.Forwarding, server netip.Addr) string {
	f := j.facts.Forwarding
	switch {
	case how != model.NAT && how != model.SNAT:
		return ""
	case server.Is6() && !f.IPv6:
		return "net.ipv6.conf.all.forwarding"
	case server.Is6():
		return ""
	case how == model.NAT && !f.IPv4:
		return "net.ipv4.ip_forward"
	case how == model.NAT:
		return ""
	}
	if name := j.facts.Toward[server]; name != "" && !f.Interfaces[name] {
		return "net.ipv4.conf." + name + ".forwarding"
	}
	return ""
}

// returnPath: replies of servers that are to come back through this host do not.
func (j *judge) returnPath() {
	for i := range j.node.Services {
		service := &j.node.Services[i]
		for _, server := range service.Servers {
			if MustAnswer(service, server) && slices.Contains(j.facts.Unanswered[service.Key], server.Address) {
				j.find(service.Key, ReasonReturnPathMissing, "Clients' packets go to server %s (%s), and no reply comes back through this director, as mode L4NAT needs. "+
					"Give the server a virtual IP with role: Gateway as default gateway; clients on the server's own network get no answer in this mode, for them use L4SNAT.",
					server.Name, server.Address)
			}
		}
	}
}

// sourceCheck: a strict source check drops packets whose answer would take another way.
func (j *judge) sourceCheck() {
	for _, v := range j.node.VirtualIPs {
		i := j.interfaceOf(v.Interface)
		if i == nil || i.RPFilter != 1 || !v.Address.Is4() {
			continue
		}
		e := j.exitElsewhere(i.Name)
		if e == nil {
			continue
		}
		place := "everywhere else (the default route)"
		if e.To.Bits() > 0 {
			place = e.To.String()
		}
		j.find(v.Key, ReasonStrictSourceCheck, "Interface %s checks sources strictly (rp_filter=1), and the way to %s leaves by %s: packets of clients from there that arrive on %s are dropped without a trace. "+
			"Set net.ipv4.conf.%s.rp_filter=2 in /etc/sysctl.d.", i.Name, place, strings.Join(e.Interfaces, ", "), i.Name, i.Name)
	}
}

// exitElsewhere is the first route in force that does not leave by an interface. The kernel uses the
// route of the smallest metric, and takes packets on any interface of it (fib_info_nh_uses_dev).
func (j *judge) exitElsewhere(name string) *Exit {
	best := map[netip.Prefix]int{}
	for _, e := range j.facts.Exits {
		if m, known := best[e.To]; !known || e.Metric < m {
			best[e.To] = e.Metric
		}
	}
	for at := range j.facts.Exits {
		if e := &j.facts.Exits[at]; e.Metric == best[e.To] && !slices.Contains(e.Interfaces, name) {
			return e
		}
	}
	return nil
}

func (j *judge) interfaceOf(name string) *Interface {
	for i := range j.facts.Interfaces {
		if j.facts.Interfaces[i].Name == name {
			return &j.facts.Interfaces[i]
		}
	}
	return nil
}

// mtu: a server that cannot take packets as large as the director sends.
func (j *judge) mtu() {
	said := map[netip.Addr]bool{}
	j.eachDirect(func(service *model.VirtualService, server model.RealServer) {
		known := j.facts.Servers[server.Address]
		i := j.interfaceOf(known.Interface)
		if i == nil {
			i = j.facing(server.Address)
		}
		if i == nil || known.MTU == 0 || known.MTU >= i.Largest(server.Address) || said[server.Address] {
			return
		}
		said[server.Address] = true
		j.find(service.Key, ReasonMTUMismatch, "Server %s (%s) takes packets of %d bytes at most, interface %s of this director sends up to %d: large images stall. "+
			"Give both and the switch between them the same MTU.", server.Name, server.Address, known.MTU, i.Name, i.Largest(server.Address))
	})
}

// facing is the interface on whose network an address is.
func (j *judge) facing(address netip.Addr) *Interface {
	for i := range j.facts.Interfaces {
		for _, p := range j.facts.Interfaces[i].Addresses {
			if p.Contains(address) {
				return &j.facts.Interfaces[i]
			}
		}
	}
	return nil
}

// offload: merged packets are too large to be passed on.
func (j *judge) offload() {
	if len(j.node.Services) == 0 {
		return
	}
	for _, i := range j.facts.Interfaces {
		if i.LRO {
			j.find("", ReasonReceiveOffload, "Interface %s merges received packets (large receive offload), and a director cannot pass merged packets on: transfers stall. "+
				"Switch it off: ethtool -K %s lro off, and in the interface's configuration.", i.Name, i.Name)
		}
	}
}

// foreign: somebody else programmes the kernel's load balancer.
func (j *judge) foreign() {
	switch f := j.facts.IPVS; {
	case len(j.node.Services) == 0:
	case f.KubeProxy:
		j.find("", ReasonKubeProxyIPVS, "kube-proxy runs in IPVS mode on this node (%d services of its own). Timeouts and settings of IPVS are one set for the node, and kube-proxy sets them too. "+
			"Run kube-proxy in nftables or iptables mode on directors.", f.Count)
	case f.Count > 0:
		j.advise("", ReasonForeignIPVS, "Another program keeps %d services in the kernel's load balancer, for example %s. They are left alone. "+
			"If nobody needs them (an earlier keepalived or ldirectord?), stop that program and remove them by ipvsadm -D.", f.Count, strings.Join(f.Services, "; "))
	}
}

// serversThatCall: a server that holds a virtual IP on lo reaches itself there, not the proxy.
func (j *judge) serversThatCall() {
	for _, l := range j.node.Proxy.Listeners {
		j.eachDirect(func(service *model.VirtualService, server model.RealServer) {
			if !slices.Contains(addresses(service), l.Address.Addr()) || slices.ContainsFunc(j.found, func(f model.Finding) bool {
				return f.Key == l.Service && f.Reason == ReasonServersCallVIP
			}) || !j.callsBack(l, server) {
				return
			}
			j.advise(l.Service, ReasonServersCallVIP, "Server %s (%s) holds %s itself for direct routing (service %s), so what its own software asks of %s reaches itself and not the proxy. "+
				"If it calls that address, use another virtual IP for the layer 7 service.", server.Name, server.Address, l.Address.Addr(), service.Key, l.Address)
		})
	}
}

// callsBack tells whether the server is behind the listener too: then its software is likely to
// call its own service by the address that everybody uses.
func (j *judge) callsBack(l model.Listener, server model.RealServer) bool {
	return slices.ContainsFunc(j.node.Proxy.Pools, func(p model.Pool) bool {
		return p.Name == l.Pool && slices.ContainsFunc(p.Servers, func(s model.PoolServer) bool {
			return s.Address.Addr() == server.Address
		})
	})
}
