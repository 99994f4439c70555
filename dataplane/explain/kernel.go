package explain

import (
	"net/netip"
	"slices"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/model"
)

// layer4 decides for a service of the kernel.
func (a *Answer) layer4(s *model.VirtualService, f *Facts) {
	a.belongsTo(s.Key)
	a.Mode, a.Scheduler = modeOf(s.Forwarding), string(s.Scheduler)
	if refused := f.Refused[s.Key]; refused != "" {
		a.because("the kernel does not run the service as it is wanted: %s", refused)
	}
	if f.Scheduling == nil {
		a.Outcome = OutcomeNotProgrammed
		a.because("the kernel has no service of firewall mark %#x; see truepacs status for the cause", s.Mark)
		return
	}
	k := kernel{service: s, facts: f, now: f.Scheduling}
	a.Scheduler = string(k.now.Scheduler)
	if a.itself(s) || a.connected(&k) || a.remembered(&k) {
		return
	}
	a.scheduled(&k)
}

// kernel is what there is about one service.
type kernel struct {
	service *model.VirtualService
	facts   *Facts
	now     *ipvs.Scheduling
}

// itself: a real server by direct routing or tunnel has the address, too, and reaches itself.
func (a *Answer) itself(s *model.VirtualService) bool {
	for _, server := range s.Servers {
		how := forwarding(s, &server)
		if server.Address == a.Client.Addr() && (how == model.DirectRouting || how == model.Tunnel) {
			a.Outcome, a.DecidedBy = OutcomeServer, ByItself
			a.Server = &Server{Name: server.Name, Address: netip.AddrPortFrom(server.Address, a.To.Port())}
			a.because("the client is the real server %s, which has the virtual IP itself: its packets never come to the director", server.Name)
			return true
		}
	}
	return false
}

func forwarding(s *model.VirtualService, server *model.RealServer) model.Forwarding {
	if server.Forwarding != "" {
		return server.Forwarding
	}
	return s.Forwarding
}

// at finds a server by the address that connections have, whose port may be the client's; -1: the
// service has it no more.
func (k *kernel) at(server netip.AddrPort) int {
	return slices.IndexFunc(k.now.Servers, func(d serverOf) bool {
		return d.Address == server || d.Address == netip.AddrPortFrom(server.Addr(), 0)
	})
}

// give names the server.
func (a *Answer) give(k *kernel, i int, by Decider) {
	a.Outcome, a.DecidedBy = OutcomeServer, by
	server := a.serverAt(k, i, 0)
	a.Server = &server
}

func (a *Answer) serverAt(k *kernel, i int, share float64) Server {
	address := k.now.Servers[i].Address
	if address.Port() == 0 {
		address = netip.AddrPortFrom(address.Addr(), a.To.Port())
	}
	return Server{Name: k.now.Names[i], Address: address, Share: share}
}

// connected: packets of a connection that is there go where it goes. A new one with the same
// addresses and ports follows it, but for TCP connections that are over or whose server takes no new
// ones (conn_reuse_mode 3 and expire_nodest_conn, which the agent sets).
func (a *Answer) connected(k *kernel) bool {
	for _, c := range k.facts.Held {
		if c.Template || c.Client != a.Client || c.Virtual != a.To || c.Protocol != string(a.Protocol) {
			continue
		}
		i := k.at(c.Server)
		switch {
		case i < 0:
			a.because("its connection in state %s goes to %s, which the service has no more: the next packet ends it", c.State, c.Server)
		case k.over(&c, i):
			a.because("its connection to %s in state %s does not bind a new one", k.now.Names[i], c.State)
		default:
			a.give(k, i, ByConnection)
			a.because("a connection of this client's port is there in state %s for %d seconds more, and goes to %s", c.State, int(c.Expires.Seconds()), k.now.Names[i])
			return true
		}
	}
	return false
}

// over tells whether a new connection in place of c is scheduled anew.
func (k *kernel) over(c *ipvs.Connection, i int) bool {
	switch {
	case c.Protocol != string(model.TCP):
		return false
	case k.now.Servers[i].Weight == 0:
		return true
	case k.now.Persistence != nil:
		return false
	case c.State == "TIME_WAIT", c.State == "CLOSE":
		return true
	}
	return c.State == "FIN_WAIT" && !k.translates(i)
}

// translates tells whether replies of a server come back through the director.
func (k *kernel) translates(i int) bool {
	for _, server := range k.service.Servers {
		if server.Name == k.now.Names[i] {
			how := forwarding(k.service, &server)
			return how == model.NAT || how == model.SNAT
		}
	}
	return false
}

// remembered: a persistent client goes where it went, while that server takes new connections
// (expire_quiescent_template, which the agent sets).
func (a *Answer) remembered(k *kernel) bool {
	p := k.now.Persistence
	if p == nil {
		return false
	}
	network, err := a.Client.Addr().Prefix(p.PrefixLength)
	if err != nil {
		return false
	}
	for _, c := range k.facts.Held {
		if !c.Template || c.Key != k.service.Key || c.Client.Addr() != network.Addr() {
			continue
		}
		i := k.at(c.Server)
		if i < 0 || k.now.Servers[i].Weight == 0 {
			a.because("the client is remembered at %s, which takes no new connections", c.Server.Addr())
			continue
		}
		a.give(k, i, ByPersistence)
		a.because("clients of %s are remembered at %s for %d seconds more (persistence of %d seconds)",
			network, k.now.Names[i], int(c.Expires.Seconds()), int(p.Timeout.Seconds()))
		return true
	}
	a.because("no client of %s is remembered (persistence of %d seconds)", network, int(p.Timeout.Seconds()))
	return false
}
