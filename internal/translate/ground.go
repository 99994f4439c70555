package translate

import (
	"net/netip"
	"slices"

	"github.com/truepacs/balancer/dataplane/model"
)

// Endpoint is a range of ports of one protocol at an address, both ends included.
type Endpoint struct {
	// Addr is the address.
	Addr netip.Addr
	// Protocol is the transport protocol.
	Protocol model.Protocol
	// First and Last are the ends of the range; equal for a single port.
	First, Last uint16
}

// place is where ports are: the ports of TCP and of UDP have nothing to do with each other.
type place struct {
	addr     netip.Addr
	protocol model.Protocol
}

func (e Endpoint) place() place { return place{e.Addr, e.Protocol} }

// overlap returns what two endpoints have in common.
func (e Endpoint) overlap(o Endpoint) (Endpoint, bool) {
	e.First, o.Last = max(e.First, o.First), min(e.Last, o.Last)
	e.Last = o.Last
	return e, e.place() == o.place() && e.First <= e.Last
}

// span is a range of ports with its owner, an index of a claim.
type span struct {
	first, last uint16
	owner       int
}

// ground says who has which ports: spans without overlap, ascending.
type ground map[place][]span

// at returns the spans and the first of them that ends at or after a port.
func (g ground) at(p place, port uint16) (spans []span, first int) {
	spans = g[p]
	first, _ = slices.BinarySearchFunc(spans, port, func(s span, port uint16) int {
		return int(s.last) - int(port)
	})
	return spans, first
}

// taken returns who else has the first port of an endpoint that somebody has; others tells
// whether an owner is somebody else.
func (g ground) taken(e Endpoint, others func(owner int) bool) (owner int, port uint16, is bool) {
	spans, i := g.at(e.place(), e.First)
	for ; i < len(spans) && spans[i].first <= e.Last; i++ {
		if others(spans[i].owner) {
			return spans[i].owner, max(spans[i].first, e.First), true
		}
	}
	return 0, 0, false
}

// take gives an owner those ports of an endpoint that nobody has.
func (g ground) take(e Endpoint, owner int) {
	for _, free := range g.free(e) {
		free.owner = owner
		spans, i := g.at(e.place(), free.first)
		g[e.place()] = slices.Insert(spans, i, free)
	}
}

// free are the ranges of an endpoint that nobody has.
func (g ground) free(e Endpoint) []span {
	var out []span
	next := int(e.First)
	spans, i := g.at(e.place(), e.First)
	for ; i < len(spans) && spans[i].first <= e.Last; i++ {
		if int(spans[i].first) > next {
			out = append(out, span{first: uint16(next), last: spans[i].first - 1})
		}
		next = int(spans[i].last) + 1
	}
	if next <= int(e.Last) {
		out = append(out, span{first: uint16(next), last: e.Last})
	}
	return out
}

// intersect returns what two lists have in common.
func intersect(a, b []Endpoint) []Endpoint {
	var out []Endpoint
	for _, x := range a {
		for _, y := range b {
			if both, ok := x.overlap(y); ok {
				out = append(out, both)
			}
		}
	}
	return out
}
