package schedule

import "github.com/truepacs/balancer/dataplane/model"

// least finds the server by its connections or weight alone; -1: none. Of equals the first in the
// kernel's order is chosen.
func (s *Service) least(usable func(int) bool) int {
	best := -1
	for i := range s.Servers {
		d := &s.Servers[i]
		if !usable(i) || s.Scheduler == model.WeightedOverflow && uint64(d.Active) > uint64(d.Weight) {
			continue
		}
		if s.Scheduler == model.NeverQueue && d.Active == 0 {
			return i
		}
		if best < 0 || s.better(d, &s.Servers[best]) {
			best = i
		}
	}
	return best
}

// better tells whether a later server is to be preferred to an earlier one.
func (s *Service) better(later, earlier *Server) bool {
	switch s.Scheduler {
	case model.WeightedFailover, model.WeightedOverflow:
		return later.Weight > earlier.Weight
	case model.LeastConnection:
		return uint32(later.overhead()) < uint32(earlier.overhead())
	}
	return s.cost(earlier)*int64(later.Weight) > s.cost(later)*int64(earlier.Weight)
}

// cost is what is compared in relation to weights.
func (s *Service) cost(d *Server) int64 {
	if s.Scheduler == model.WeightedLeastConnection {
		return d.overhead()
	}
	return int64(d.Active) + 1 // the delay that the new connection would have
}

// overhead counts an established connection as much as 256 others (ip_vs_dest_conn_overhead).
func (d *Server) overhead() int64 { return int64(d.Active)<<8 + int64(d.Inactive) }
