package translate

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"slices"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
)

// defaultCookie is the name of the persistence cookie, as the API documents it.
const defaultCookie = "TPSERVER"

// buildLayer7 makes one listener for each address and port of a service in mode L7SNAT.
func (r *run) buildLayer7(s *service) {
	if s.spec.Mode != v1alpha1.ModeL7SNAT {
		if s.forwarding() == "" {
			s.refuse(refusef(v1alpha1.ReasonInvalidField,
				"spec.virtualServices[%s].mode %q is not known: write L4DR, L4NAT, L4SNAT, L4Tunnel or L7SNAT", s.spec.Name, clip(string(s.spec.Mode))))
		}
		return
	}
	l7 := s.spec.Layer7
	if l7 == nil {
		s.refuse(refusef(v1alpha1.ReasonInvalidField,
			"spec.virtualServices[%s].layer7.application is missing: write HTTP for web traffic or TCP for anything else", s.spec.Name))
		return
	}
	listener := r.listener(s, l7)
	s.refuse(refuseTrustSize(s, listener, len(addressesOf(s.wanted))*len(s.wanted.Ports)))
	for _, addr := range addressesOf(s.wanted) {
		for _, port := range s.wanted.Ports {
			l := listener
			l.Address = netip.AddrPortFrom(addr, port)
			l.Name = fmt.Sprintf("%s@%s", s.key, l.Address)
			s.wanted.Layer7 = append(s.wanted.Layer7, l)
		}
	}
}

// listener is what all listeners of a service have in common.
func (r *run) listener(s *service, l7 *v1alpha1.Layer7) model.Listener {
	l := model.Listener{
		Service:     s.key,
		Application: model.TCPStream,
		Pool:        s.owner.key(s.spec.ServerPool),
		Algorithm:   model.L7LeastConnection,
		TLS:         r.listenerTLS(s, l7.TLS),
	}
	if c := l7.ClientAddress; c != nil {
		l.AcceptProxyProtocolFrom = networks(s, "acceptProxyProtocolFrom", c.AcceptProxyProtocolFrom)
	}
	if l7.Algorithm == v1alpha1.AlgorithmRoundRobin {
		l.Algorithm = model.L7RoundRobin
	}
	if l7.Application == v1alpha1.ApplicationHTTP {
		l.Application = model.HTTP
		l.Cookie = cookie(l7.Persistence)
		l.XForwardedFor = forwardedFor(l7.ClientAddress)
		l.TrustedCIDRs = trusted(s, l7.ClientAddress)
		l.Routes = routes(s, l7.HTTP)
	}
	return l
}

func cookie(p *v1alpha1.Layer7Persistence) *model.Cookie {
	if p == nil {
		return nil
	}
	if p.Cookie == nil || p.Cookie.Name == "" {
		return &model.Cookie{Name: defaultCookie}
	}
	return &model.Cookie{Name: p.Cookie.Name}
}

// forwardedFor: set unless the spec has a list of headers without it.
func forwardedFor(c *v1alpha1.ClientAddress) bool {
	return c == nil || c.Headers == nil || slices.Contains(c.Headers, v1alpha1.HeaderXForwardedFor)
}

func trusted(s *service, c *v1alpha1.ClientAddress) []netip.Prefix {
	if c == nil {
		return nil
	}
	return networks(s, "trustedCIDRs", c.TrustedCIDRs)
}

// networks reads a list of clientAddress.
func networks(s *service, field string, texts []string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			s.refuse(refusef(v1alpha1.ReasonInvalidField,
				"spec.virtualServices[%s].layer7.clientAddress.%s: %q is not a network: write it with prefix length, for example 192.0.2.0/24", s.spec.Name, field, clip(text)))
			continue
		}
		out = append(out, p.Masked())
	}
	return out
}

func routes(s *service, h *v1alpha1.HTTPSettings) []model.Route {
	if h == nil {
		return nil
	}
	var out []model.Route
	for _, r := range h.Routes {
		route := model.Route{Name: r.Name, Pool: s.owner.key(r.ServerPool)}
		for _, m := range r.Matches {
			route.PathPrefixes = append(route.PathPrefixes, m.PathPrefix)
		}
		if r.Rewrite != nil {
			route.RewritePrefix = &r.Rewrite.PathPrefix
		}
		if h := r.RequestHeaders; h != nil {
			route.RemoveRequestHeaders = h.Remove
			for _, set := range h.Set {
				route.SetRequestHeaders = append(route.SetRequestHeaders, model.Header{Name: set.Name, Value: set.Value})
			}
		}
		out = append(out, route)
	}
	return out
}

func minVersion(v v1alpha1.TLSVersion) uint16 {
	if v == v1alpha1.TLS13 {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}
