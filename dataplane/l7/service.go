package l7

import (
	"net/netip"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/tlssession"
)

// service is a compiled model.Listener: immutable, replaced as a whole.
type service struct {
	name     string
	http     bool
	address  netip.AddrPort
	tls      *tlssession.Config // nil: clear
	tlsModel *model.TLS
	tickets  [32]byte // the scope of its session tickets
	forward  bool
	trusted  []netip.Prefix
	greeted  []netip.Prefix // from these a PROXY protocol header is due
	cookie   *cookie        // of the default pool; nil: no persistence
	routes   []route
	fallback route
}

// proto is the scheme the client used, as X-Forwarded-Proto names it.
func (s *service) proto() string {
	if s.tls != nil {
		return "https"
	}
	return "http"
}

func contains(all []netip.Prefix, a netip.Addr) bool {
	for _, p := range all {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// state is everything that a configuration compiles to. It shares servers and endpoints with
// the state before, and is not changed once it is in use.
type state struct {
	services  map[string]*service // by listener
	pools     map[string]*pool
	servers   map[ServerKey]*server
	endpoints map[endpointKey]*endpoint
}

func emptyState() *state {
	return &state{
		services: map[string]*service{}, pools: map[string]*pool{},
		servers: map[ServerKey]*server{}, endpoints: map[endpointKey]*endpoint{},
	}
}
