package ipvs

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
)

// present is a service with its destinations as the kernel has them or shall have them, by
// ascending address; without counters.
type present struct {
	service genl.Service
	servers []genl.Destination
}

// presentOf is what was read.
func presentOf(s genl.Service, found []genl.Destination) present {
	s.Stats = genl.Stats{}
	p := present{service: s, servers: make([]genl.Destination, 0, len(found))}
	for _, d := range found {
		p.servers = append(p.servers, bare(d))
	}
	p.sort()
	return p
}

// bare is a destination without what the kernel counts.
func bare(d genl.Destination) genl.Destination {
	d.Active, d.Inactive, d.Persistent, d.Stats = 0, 0, 0, genl.Stats{}
	return d
}

func (p *present) sort() {
	slices.SortFunc(p.servers, func(a, b genl.Destination) int { return a.Address.Compare(b.Address) })
}

// at finds a destination, or where it belongs.
func (p *present) at(a netip.AddrPort) (int, bool) {
	return slices.BinarySearchFunc(p.servers, a, func(d genl.Destination, a netip.AddrPort) int { return d.Address.Compare(a) })
}

func (p *present) equal(o *present) bool {
	return p.service.Equal(o.service) && slices.EqualFunc(p.servers, o.servers, genl.Destination.Equal)
}

// note changes known as the kernel has changed. It makes slices anew instead of writing into them,
// for targets share theirs.
func note(known map[genl.ServiceID]present, c *genl.Change) {
	id := c.Service.ServiceID
	p := known[id]
	at, found := p.at(c.Destination.Address)
	switch c.Command {
	case genl.NewService, genl.SetService:
		p.service = c.Service
	case genl.DelService:
		delete(known, id)
		return
	case genl.NewDest, genl.SetDest:
		next := slices.Clone(p.servers)
		if found {
			next[at] = c.Destination
		} else {
			next = slices.Insert(next, at, c.Destination)
		}
		p.servers = next
	case genl.DelDest:
		if found {
			p.servers = slices.Delete(slices.Clone(p.servers), at, at+1)
		}
	}
	known[id] = p
}

// byMark sorts services by mark, IPv4 first.
func byMark(a, b genl.ServiceID) int {
	if a.Mark == b.Mark && a.IPv6 != b.IPv6 {
		if b.IPv6 {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.Mark, b.Mark)
}

// sorted returns the keys of a map in order.
func sorted[V any](m map[genl.ServiceID]V) []genl.ServiceID {
	return slices.SortedFunc(maps.Keys(m), byMark)
}
