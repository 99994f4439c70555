package l7

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/truepacs/balancer/dataplane/certs"
	"github.com/truepacs/balancer/dataplane/http1"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/proxyproto"
)

// reasonRefused is the reason of errors about one listener or pool.
const reasonRefused = "ProxyRefused"

// maxServers bounds a pool, and maxWeight a weight; both far above what the API allows.
const (
	maxServers = 4096
	maxWeight  = 65535
)

// refuse says what is wrong with a listener or pool and what to write instead.
func refuse(key, format string, args ...any) error {
	return &model.ItemError{Key: key, Reason: reasonRefused, Err: fmt.Errorf(format, args...)}
}

// validate checks a whole configuration, without its certificates. It returns all that is wrong,
// joined, each error a *model.ItemError with the name of the listener or pool.
func validate(proxy model.Proxy) error {
	var errs []error
	pools := map[string]bool{}
	for _, p := range proxy.Pools {
		if pools[p.Name] {
			errs = append(errs, refuse(p.Name, "two pools have this name: rename one"))
		}
		pools[p.Name] = true
		errs = append(errs, validatePool(p)...)
	}
	names, addresses := map[string]bool{}, map[string]string{}
	for _, l := range proxy.Listeners {
		if l.Name == "" || names[l.Name] {
			errs = append(errs, refuse(l.Name, "listener names must be unique and not empty: rename one"))
		}
		names[l.Name] = true
		if other, taken := addresses[l.Address.String()]; taken {
			errs = append(errs, refuse(l.Name, "address %s is already used by listener %s: give one of them another port", l.Address, other))
		}
		addresses[l.Address.String()] = l.Name
		for _, err := range validateListener(l, pools) {
			errs = append(errs, &model.ItemError{Key: l.Name, Reason: reasonRefused, Err: err})
		}
	}
	return errors.Join(errs...)
}

func validatePool(p model.Pool) (errs []error) {
	if len(p.Servers) > maxServers {
		errs = append(errs, refuse(p.Name, "%d servers: a pool holds at most %d", len(p.Servers), maxServers))
	}
	if _, known := proxyproto.VersionOf(string(p.ProxyProtocol)); !known {
		errs = append(errs, refuse(p.Name, "PROXY protocol version %q is not known: use V1 or V2", p.ProxyProtocol))
	}
	names := map[string]bool{}
	for _, s := range p.Servers {
		switch {
		case s.Name == "" || names[s.Name]:
			errs = append(errs, refuse(p.Name, "server names must be unique and not empty: rename one of those called %q", s.Name))
		case !s.Address.Addr().IsValid() || s.Address.Addr().IsUnspecified():
			errs = append(errs, refuse(p.Name, "server %s has no address: give it the address of the PACS server", s.Name))
		case s.Weight < 0 || s.Weight > maxWeight:
			errs = append(errs, refuse(p.Name, "server %s has weight %d: use 0 (no new requests) to %d", s.Name, s.Weight, maxWeight))
		}
		names[s.Name] = true
	}
	return errs
}

func validateListener(l model.Listener, pools map[string]bool) (errs []error) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	http := l.Application == model.HTTP
	add(!http && l.Application != model.TCPStream, "application %q is not known: use HTTP or TCP", l.Application)
	add(l.Algorithm != model.L7RoundRobin && l.Algorithm != model.L7LeastConnection,
		"algorithm %q is not known: use RoundRobin or LeastConnection", l.Algorithm)
	add(!l.Address.IsValid() || l.Address.Port() == 0, "address %s is not an address and port: give the virtual IP address and a port", l.Address)
	add(!http && l.Cookie != nil, "a cookie needs application HTTP: remove the cookie or set application HTTP")
	add(!http && l.XForwardedFor, "X-Forwarded-For needs application HTTP: switch it off or set application HTTP")
	add(!http && len(l.Routes) > 0, "routes need application HTTP: remove them or set application HTTP")
	add(l.Cookie != nil && !http1.IsToken(cookieName(l)), "cookie name %q is not a token (RFC 6265): use letters and digits", cookieName(l))
	add(!pools[l.Pool], "pool %q does not exist: use one of %s", l.Pool, known(pools))
	if l.TLS != nil {
		add(len(l.TLS.Certificates) == 0, "TLS without a certificate: name one")
		add(l.TLS.MinVersion != 0 && l.TLS.MinVersion != tls.VersionTLS12 && l.TLS.MinVersion != tls.VersionTLS13,
			"TLS version %#04x is not offered: use TLS 1.2 or TLS 1.3", l.TLS.MinVersion)
		for _, id := range l.TLS.CipherSuites {
			add(!certs.SecureSuite(id), "cipher suite %s is not offered: use those of TLS 1.2 with forward secrecy", tls.CipherSuiteName(id))
		}
	}
	for _, r := range l.Routes {
		add(!pools[r.Pool], "route %s: pool %q does not exist: use one of %s", r.Name, r.Pool, known(pools))
		for _, err := range validateRoute(l, r) {
			errs = append(errs, fmt.Errorf("route %s: %w", r.Name, err))
		}
	}
	return errs
}

func cookieName(l model.Listener) string {
	if l.Cookie == nil {
		return ""
	}
	return l.Cookie.Name
}

func known(pools map[string]bool) string {
	if len(pools) == 0 {
		return "the pools (there is none yet)"
	}
	return strings.Join(slices.Sorted(maps.Keys(pools)), ", ")
}

func validateRoute(l model.Listener, r model.Route) (errs []error) {
	if len(r.PathPrefixes) == 0 {
		errs = append(errs, errors.New("no path prefix: write / for every path"))
	}
	for _, p := range r.PathPrefixes {
		errs = append(errs, validatePrefix("path prefix", p))
	}
	if r.RewritePrefix != nil && *r.RewritePrefix != "" {
		errs = append(errs, validatePrefix("rewritten prefix", *r.RewritePrefix))
	}
	for _, h := range r.SetRequestHeaders {
		errs = append(errs, validateHeader(l, h.Name))
		if !http1.IsValue(h.Value) {
			errs = append(errs, fmt.Errorf("value of header %s has control characters or outer spaces: remove them", h.Name))
		}
	}
	for _, name := range r.RemoveRequestHeaders {
		errs = append(errs, validateHeader(l, name))
		if http1.IdentifyField([]byte(name)) == http1.Host {
			errs = append(errs, errors.New("header Host cannot be removed, HTTP needs it: set it to another value"))
		}
	}
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

func validatePrefix(what, p string) error {
	switch {
	case !strings.HasPrefix(p, "/"):
		return fmt.Errorf("%s %q does not start with /: write /%s", what, p, p)
	case strings.ContainsAny(p, "?#"):
		return fmt.Errorf("%s %q holds a query or fragment: write the path only", what, p)
	case climbs([]byte(p)):
		return fmt.Errorf("%s %q has a . or .. element: write the path without it", what, p)
	case strings.HasSuffix(p, "//"):
		return fmt.Errorf("%s %q ends with two slashes: write one or none", what, p)
	}
	for i := range len(p) {
		if p[i] <= ' ' || p[i] >= 0x7f {
			return fmt.Errorf("%s %q has a character that cannot stand in a path: percent-encode it", what, p)
		}
	}
	return validateEncoding(what, p)
}

func validateEncoding(what, p string) error {
	var r http1.Request
	if _, err := r.Parse([]byte("GET "+p+" HTTP/1.1\r\nHost: a\r\n\r\n"), http1.Limits{}); err != nil {
		return fmt.Errorf("%s %q cannot stand in a request (%w): percent-encode what is special", what, p, err)
	}
	return nil
}

// validateHeader refuses names that a route must not touch: those that frame the message and
// those that the proxy itself writes.
func validateHeader(l model.Listener, name string) error {
	if !http1.IsToken(name) {
		return fmt.Errorf("header name %q is not a token (RFC 9110 section 5.1): use letters, digits and dashes", name)
	}
	switch http1.IdentifyField([]byte(name)) {
	case http1.ContentLength, http1.TransferEncoding, http1.Connection, http1.KeepAliveField, http1.ProxyConnection,
		http1.TE, http1.Trailer, http1.Upgrade, http1.Expect, http1.HTTP2Settings:
		return fmt.Errorf("header %s belongs to the connection and is written by the proxy: remove it from the route", name)
	case http1.Cookie:
		if l.Cookie != nil {
			return fmt.Errorf("header %s is used for persistence: remove it from the route, or the cookie from the service", name)
		}
	case http1.XForwardedFor, http1.XForwardedProto, http1.XForwardedHost:
		if l.XForwardedFor {
			return fmt.Errorf("header %s is written by the proxy: remove it from the route, or switch X-Forwarded-For off", name)
		}
	}
	return nil
}
