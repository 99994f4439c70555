package ipvs

import (
	"bytes"
	"slices"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/procfs"
)

// comparison is what a text of the table says of what is known.
type comparison struct {
	// suspects are services of ours that the text shows otherwise than they are known.
	suspects map[genl.ServiceID]struct{}
	// missing are known and not in the text, in order.
	missing []genl.ServiceID
	// foreign: there are services that are not ours.
	foreign bool
	// rate is the kernel's clock in ticks a second, 0 while it is not known.
	rate uint32
}

// compare holds a text of the table against what is known.
func (m Marks) compare(text []byte, known map[genl.ServiceID]present, rate uint32) (comparison, error) {
	c := comparison{suspects: map[genl.ServiceID]struct{}{}, rate: rate}
	shown := make(map[genl.ServiceID]struct{}, len(known))
	_, err := procfs.EachService(bytes.NewReader(text), func(s *procfs.Service) error {
		if !m.own(s.Mark) {
			c.foreign = true
			return nil
		}
		for _, id := range families(s.Mark) {
			p, isKnown := known[id]
			_, already := shown[id]
			if isKnown && !already && c.shows(s, &p) {
				shown[id] = struct{}{}
				return nil
			}
		}
		for _, id := range families(s.Mark) {
			c.suspects[id] = struct{}{}
		}
		return nil
	})
	for id := range known {
		_, isShown := shown[id]
		if _, suspect := c.suspects[id]; !isShown && !suspect {
			c.missing = append(c.missing, id)
		}
	}
	slices.SortFunc(c.missing, byMark)
	return c, err
}

// families are the services that a mark in the table may stand for.
func families(mark uint32) [2]genl.ServiceID {
	return [2]genl.ServiceID{genl.ByMark(mark, false), genl.ByMark(mark, true)}
}

// shows tells whether a service is in the table as it is known.
func (c *comparison) shows(s *procfs.Service, p *present) bool {
	persistent := p.service.Flags&genl.FlagPersistent != 0
	if s.Scheduler != p.service.Scheduler || s.Persistent != persistent || len(s.Destinations) != len(p.servers) ||
		s.OnePacket != (p.service.Flags&genl.FlagOnePacket != 0) {
		return false
	}
	for _, d := range s.Destinations {
		at, found := p.at(d.Address)
		if !found || d.Weight != p.servers[at].Weight || d.Forward != p.servers[at].Forward.String() {
			return false
		}
	}
	return !persistent || s.ClientMask == clientMask(p) && c.lasts(s.Timeout, p.service.TimeoutSeconds)
}

func clientMask(p *present) uint32 {
	if p.service.Is6() {
		return procfs.IPv6ClientMask(p.service.PrefixLength)
	}
	return procfs.IPv4ClientMask(p.service.PrefixLength)
}

// lasts compares a time in ticks with one in seconds. The first that makes sense tells the rate.
func (c *comparison) lasts(ticks procfs.Ticks, seconds uint32) bool {
	rate := procfs.Rate(ticks, seconds)
	if c.rate == 0 && slices.Contains([]uint32{100, 250, 300, 1000}, rate) { // kernel/Kconfig.hz
		c.rate = rate
	}
	return rate != 0 && rate == c.rate
}
