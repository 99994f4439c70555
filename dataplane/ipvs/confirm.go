package ipvs

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/procfs"
)

// confirm leaves out removals that a second reading does not agree with, and says whose. One that it
// cannot make is an error; the rest of the changes is to be made all the same.
func (d *Driver) confirm(ctx context.Context, changes []genl.Change) (kept []genl.Change, refuted []genl.ServiceID, err error) {
	doubtful := map[genl.ServiceID]struct{}{}
	for i := range changes {
		if removes(&changes[i]) {
			doubtful[changes[i].Service.ServiceID] = struct{}{}
		}
	}
	if len(doubtful) == 0 {
		return changes, nil, nil
	}
	seen := sightings{}
	if len(doubtful) > few {
		seen = d.look(ctx, doubtful)
	}
	kept = slices.DeleteFunc(changes, func(c genl.Change) bool {
		if !removes(&c) || seen.has(&c) {
			return false
		}
		there, fault := d.stillThere(ctx, &c)
		err = errors.Join(err, fault)
		if !there && fault == nil {
			refuted = append(refuted, c.Service.ServiceID)
		}
		return !there
	})
	return kept, refuted, err
}

func removes(c *genl.Change) bool { return c.Command == genl.DelService || c.Command == genl.DelDest }

// stillThere asks netlink.
func (d *Driver) stillThere(ctx context.Context, c *genl.Change) (bool, error) {
	var err error
	var found []genl.Destination
	if c.Command == genl.DelService {
		_, err = d.config.Kernel.Service(ctx, c.Service.ServiceID)
	} else {
		found, err = d.config.Kernel.Destinations(ctx, c.Service.ServiceID)
	}
	switch {
	case errors.Is(err, genl.ErrNoService):
		return false, nil
	case err != nil:
		return false, err
	case c.Command == genl.DelService:
		return true, nil
	}
	return slices.ContainsFunc(found, func(o genl.Destination) bool { return o.Address == c.Destination.Address }), nil
}

// sightings are what the table shows: how many services of a mark, and their destinations.
type sightings map[uint32]*sighting

type sighting struct {
	services int
	known    int // services of this mark that are known
	servers  map[netip.AddrPort]struct{}
}

// look reads the table for services; what it cannot read it has not seen.
func (d *Driver) look(ctx context.Context, ids map[genl.ServiceID]struct{}) sightings {
	text, err := d.config.Kernel.Table(ctx, d.memory.spare[:0])
	d.memory.spare = text
	if err != nil {
		return sightings{}
	}
	seen := sightings{}
	for id := range ids {
		seen[id.Mark] = &sighting{servers: map[netip.AddrPort]struct{}{}}
	}
	for id := range d.memory.known {
		if s := seen[id.Mark]; s != nil {
			s.known++
		}
	}
	_, err = procfs.EachService(bytes.NewReader(text), func(s *procfs.Service) error {
		if at := seen[s.Mark]; at != nil {
			at.services++
			for _, server := range s.Destinations {
				at.servers[server.Address] = struct{}{}
			}
		}
		return nil
	})
	if err != nil {
		return sightings{}
	}
	return seen
}

// has tells whether what a change removes has been seen. Two services of a mark have destinations
// of different families, unless they are tunnels; then netlink has to be asked.
func (s sightings) has(c *genl.Change) bool {
	at := s[c.Service.Mark]
	if at == nil || at.services < at.known {
		return false
	}
	if c.Command == genl.DelService {
		return true
	}
	_, seen := at.servers[c.Destination.Address]
	return seen && c.Destination.Address.Addr().Is6() == c.Service.Is6()
}
