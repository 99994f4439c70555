package ipvs

import (
	"slices"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
)

// steps says what to write to get services from what is there to what is wanted, in the order in
// which it is to be written: services and servers are added first and removed last, raised weights
// come before lowered ones, so that none that keeps a server is ever without one.
func steps(ids []genl.ServiceID, want map[genl.ServiceID]target, have map[genl.ServiceID]present) []genl.Change {
	var s sequence
	for _, id := range ids {
		t, wanted := want[id]
		p, there := have[id]
		switch {
		case wanted && t.keep, !wanted && !there:
		case !wanted:
			s.removed = append(s.removed, genl.Change{Command: genl.DelService, Service: p.service})
		default:
			s.service(&t, &p, there)
			s.servers(&t, &p)
		}
	}
	return slices.Concat(s.added, s.more, s.changed, s.raised, s.lowered, s.fewer, s.removed)
}

// sequence are changes by the order in which they are written.
type sequence struct {
	added, more, changed, raised, lowered, fewer, removed []genl.Change
}

func (s *sequence) service(t *target, p *present, there bool) {
	switch {
	case !there:
		s.added = append(s.added, genl.Change{Command: genl.NewService, Service: t.service})
	case !t.service.Equal(p.service):
		s.changed = append(s.changed, genl.Change{Command: genl.SetService, Service: t.service})
	}
}

func (s *sequence) servers(t *target, p *present) {
	for _, d := range t.servers {
		at, found := p.at(d.Address)
		switch {
		case !found:
			s.more = append(s.more, genl.Change{Command: genl.NewDest, Service: t.service, Destination: d})
		case p.servers[at].Equal(d):
		case d.Weight > p.servers[at].Weight:
			s.raised = append(s.raised, genl.Change{Command: genl.SetDest, Service: t.service, Destination: d})
		default:
			s.lowered = append(s.lowered, genl.Change{Command: genl.SetDest, Service: t.service, Destination: d})
		}
	}
	for _, d := range p.servers {
		if _, wanted := t.at(d.Address); !wanted && !slices.Contains(t.kept, d.Address.Addr()) {
			s.fewer = append(s.fewer, genl.Change{Command: genl.DelDest, Service: t.service, Destination: d})
		}
	}
}
