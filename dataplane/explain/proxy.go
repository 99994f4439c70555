package explain

import (
	"net/netip"
	"slices"

	"github.com/truepacs/balancer/dataplane/l7"
	"github.com/truepacs/balancer/dataplane/model"
)

// layer7 decides for a listener of the proxy, as far as what the agent knows goes: the route, and who
// may serve. Whose turn it is, how many requests each server has in progress, and cookies are the
// proxy's alone.
func (a *Answer) layer7(l *model.Listener, f *Facts) {
	a.belongsTo(l.Service)
	a.Mode, a.Scheduler, a.DecidedBy = "L7SNAT", string(l.Algorithm), ByScheduler
	pool := l.Pool
	if l.Application == model.HTTP {
		var err error
		if a.Route, pool, err = l7.RouteFor(l, a.Path); err != nil {
			a.Outcome = OutcomeRefused
			a.because("the proxy refuses the request: %v", err)
			return
		}
		a.because("the path %s takes route %s to pool %s", orSlash(a.Path), a.Route, pool)
	}
	a.members(l, pool, f)
	if l.Cookie != nil {
		a.because("a browser that sends the cookie %s of an earlier answer goes to the server that it names, while that is healthy", l.Cookie.Name)
	}
}

func orSlash(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// members finds who may serve.
func (a *Answer) members(l *model.Listener, pool string, f *Facts) {
	at := slices.IndexFunc(f.Node.Proxy.Pools, func(p model.Pool) bool { return p.Name == pool })
	sum := 0
	for i := 0; at >= 0 && i < len(f.Node.Proxy.Pools[at].Servers); i++ {
		s := &f.Node.Proxy.Pools[at].Servers[i]
		verdict, checked := f.Verdicts[model.TargetKey(pool, s.Name)]
		switch {
		case s.Weight <= 0:
			a.because("%s gets no new requests: its weight is 0", s.Name)
		case checked && !verdict.Healthy:
			a.because("%s gets no new requests: it is down: %s", s.Name, verdict.Message)
		default:
			sum += s.Weight
			a.OneOf = append(a.OneOf, Server{Name: s.Name, Address: portOf(s.Address, a.To.Port()), Share: float64(s.Weight)})
		}
	}
	for i := range a.OneOf {
		a.OneOf[i].Share /= float64(sum)
	}
	switch len(a.OneOf) {
	case 0:
		a.Outcome = OutcomeRefused
		a.because("no server of pool %s takes requests now: HTTP clients get 503, others a closed connection", pool)
	case 1:
		a.Outcome, a.Server, a.OneOf = OutcomeServer, &Server{Name: a.OneOf[0].Name, Address: a.OneOf[0].Address}, nil
		a.because("it is the only server of the pool that takes requests")
	default:
		a.Outcome = OutcomeOneOf
		a.because("%s", turnsOf(l.Algorithm))
	}
}

func portOf(a netip.AddrPort, port uint16) netip.AddrPort {
	if a.Port() == 0 {
		return netip.AddrPortFrom(a.Addr(), port)
	}
	return a
}

func turnsOf(algorithm model.Algorithm) string {
	if algorithm == model.L7LeastConnection {
		return "the server with the fewest requests in progress for its weight gets it, which the proxy alone knows"
	}
	return "the servers take turns by weight, and the proxy alone knows whose it is"
}
