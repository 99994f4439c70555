package ipvs

import (
	"net/netip"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
)

// lastWeights are the last weights above 0 of servers, or those they were added with: what the kernel
// keeps as last_weight and does not show (ip_vs_ctl.c, __ip_vs_update_dest). MaglevHash fills its
// table by them.
type lastWeights map[genl.ServiceID]map[netip.AddrPort]int

// note follows a change that the kernel has made.
func (l lastWeights) note(c *genl.Change) {
	id, d := c.Service.ServiceID, c.Destination
	switch {
	case c.Command == genl.DelService:
		delete(l, id)
	case c.Command == genl.DelDest:
		delete(l[id], d.Address)
	case c.Command == genl.NewDest, c.Command == genl.SetDest && d.Weight > 0:
		if l[id] == nil {
			l[id] = map[netip.AddrPort]int{}
		}
		l[id][d.Address] = d.Weight
	}
}

// of returns the last weight of a server that has just been read; false: not known, because another
// program, or this one before its start, took its weight away.
func (l lastWeights) of(id genl.ServiceID, d *genl.Destination) (int, bool) {
	if d.Weight > 0 {
		return d.Weight, true
	}
	weight, known := l[id][d.Address]
	return weight, known
}
