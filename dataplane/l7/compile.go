package l7

import (
	"reflect"
	"slices"
	"strings"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/proxyproto"
	"github.com/truepacs/balancer/dataplane/tlssession"
)

// compiler makes a state of a validated configuration. It changes nothing that is in use: what
// was in the state before is taken over where pool, name and address are the same.
type compiler struct {
	before   *state
	after    *state
	verdicts map[ServerKey]bool
	tickets  *tickets
	loops    int
}

func (e *Engine) compile(proxy model.Proxy) (*state, error) {
	if err := validate(proxy); err != nil {
		return nil, err
	}
	c := &compiler{before: e.state, after: emptyState(), verdicts: e.verdicts, tickets: e.tickets, loops: len(e.workers)}
	for _, p := range proxy.Pools {
		c.pool(p)
	}
	for _, l := range proxy.Listeners {
		s, err := c.service(l)
		if err != nil {
			return nil, err
		}
		c.after.services[l.Name] = s
	}
	return c.after, nil
}

func (c *compiler) pool(m model.Pool) {
	p := &pool{name: m.Name}
	p.preface, _ = proxyproto.VersionOf(string(m.ProxyProtocol))
	for _, s := range m.Servers {
		p.members = append(p.members, member{server: c.server(m.Name, s), weight: s.Weight})
	}
	if old := c.before.pools[m.Name]; old != nil {
		p.turn.Store(old.turn.Load())
	}
	p.refresh()
	c.after.pools[m.Name] = p
}

func (c *compiler) server(pool string, m model.PoolServer) *server {
	key := ServerKey{pool, m.Name}
	s := c.before.servers[key]
	if s == nil || s.addr != m.Address {
		healthy, known := c.verdicts[key]
		s = newServer(key, m.Address, healthy || !known || s != nil)
	}
	c.after.servers[key] = s
	return s
}

func (c *compiler) service(l model.Listener) (*service, error) {
	s := &service{
		name: l.Name, http: l.Application == model.HTTP, address: l.Address,
		forward: l.XForwardedFor, trusted: slices.Clone(l.TrustedCIDRs), greeted: slices.Clone(l.AcceptProxyProtocolFrom), tlsModel: cloneTLS(l.TLS),
	}
	var err error
	if s.tls, err = c.tls(l); err != nil {
		return nil, err
	}
	if s.tls != nil {
		s.tickets = ticketScope(l)
		s.tls.SetSessionTicketKeys(c.tickets.keys(s.tickets))
	}
	s.fallback = route{name: defaultRoute, backend: c.backend(l, l.Pool)}
	s.cookie = s.fallback.backend.cookie
	for _, r := range l.Routes {
		s.routes = append(s.routes, c.route(l, r))
	}
	return s, nil
}

// tls keeps the configuration in use if nothing changed in it.
func (c *compiler) tls(l model.Listener) (*tlssession.Config, error) {
	if old := c.before.services[l.Name]; old != nil && old.http == (l.Application == model.HTTP) && reflect.DeepEqual(old.tlsModel, l.TLS) {
		return old.tls, nil
	}
	return tlsConfig(l)
}

func (c *compiler) route(l model.Listener, m model.Route) route {
	r := route{name: m.Name, backend: c.backend(l, m.Pool), set: slices.Clone(m.SetRequestHeaders), remove: slices.Clone(m.RemoveRequestHeaders)}
	r.prefixes = prefixesOf(m)
	if m.RewritePrefix != nil {
		to := strings.TrimSuffix(*m.RewritePrefix, "/")
		r.rewrite = &to
	}
	return r
}

func (c *compiler) backend(l model.Listener, name string) *backend {
	b := &backend{pool: c.after.pools[name], least: l.Algorithm == model.L7LeastConnection, byToken: map[token]*endpoint{}}
	if l.Cookie != nil {
		b.cookie = newCookie(l.Cookie.Name, name, name == l.Pool, l.TLS != nil)
	}
	for _, m := range b.pool.members {
		e := c.endpoint(m.server, l.Address.Port(), b.pool.preface)
		b.ends = append(b.ends, e)
		b.byToken[m.server.token] = e
	}
	return b
}

func (c *compiler) endpoint(s *server, clientPort uint16, preface proxyproto.Version) *endpoint {
	port := s.addr.Port()
	if port == 0 {
		port = clientPort
	}
	key := endpointKey{s, port, preface}
	e := c.after.endpoints[key]
	if e == nil {
		if e = c.before.endpoints[key]; e == nil {
			e = newEndpoint(key, c.loops)
		}
		c.after.endpoints[key] = e
	}
	return e
}
