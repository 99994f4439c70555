package preflight

import (
	"net/netip"
	"slices"

	"github.com/truepacs/balancer/dataplane/model"
)

// unansweredPackets is how many packets a server must have got in a row without any from it before
// its replies count as lost: a client that gets no answer tries to connect six times in a minute
// (tcp_syn_retries), so one client alone says nothing yet.
const unansweredPackets = 8

// Route is a server of a service.
type Route struct {
	// Service is the key of the model.VirtualService.
	Service string
	// Server is the server's own address.
	Server netip.Addr
}

// Traffic is how many packets the kernel's load balancer has passed to a server, and how many from
// it, since it knows the server.
type Traffic struct{ To, From uint64 }

// Replies notices servers whose replies do not come back. The zero value is ready; it is not safe for
// concurrent use.
type Replies struct {
	answered map[Route]Traffic // when the server was last seen to answer, or first seen at all
}

// Unanswered takes the traffic of all servers that have to answer through this host, and returns those
// that got packets and have sent none for a while, by service.
func (r *Replies) Unanswered(now map[Route]Traffic) map[string][]netip.Addr {
	answered := make(map[Route]Traffic, len(now))
	found := map[string][]netip.Addr{}
	for route, traffic := range now {
		before, known := r.answered[route]
		if !known || traffic.From != before.From || traffic.To < before.To {
			answered[route] = traffic
			continue
		}
		answered[route] = before
		if traffic.To-before.To >= unansweredPackets {
			found[route.Service] = append(found[route.Service], route.Server)
		}
	}
	r.answered = answered
	return found
}

// MustAnswer tells whether a server's replies have to come through this host: they are translated
// on the way. Of UDP nobody knows whether there are replies.
func MustAnswer(service *model.VirtualService, server model.RealServer) bool {
	return forwarding(service, server) == model.NAT && slices.ContainsFunc(service.Matches(), func(m model.Match) bool {
		return m.Protocol == model.TCP
	})
}
