package schedule

import (
	"net/netip"

	"github.com/truepacs/balancer/dataplane/model"
)

// Server is a destination, as far as schedulers look at it.
type Server struct {
	// Address is the destination's, with port 0 if that is the one that the client came to.
	Address netip.AddrPort
	// Weight is what the kernel has. LastWeight is the last one above 0, or what the server was
	// added with: the kernel's last_weight, which it does not show.
	Weight, LastWeight int
	// Active are established connections, Inactive all others that are remembered.
	Active, Inactive uint32
	// Upper and Lower are the thresholds of connections, 0 for none.
	Upper, Lower uint32
}

// Service is a service as the kernel has it.
type Service struct {
	// Scheduler is the scheduling method.
	Scheduler model.Scheduler
	// Flags are those of the hashing schedulers.
	Flags model.SchedulerFlags
	// Servers are in the kernel's order, which decides among equals.
	Servers []Server
}

// Doubt is why several servers may be chosen.
type Doubt string

// Doubts.
const (
	// None: the choice is certain.
	None Doubt = ""
	// Turn: the servers take turns, and the kernel does not show whose it is.
	Turn Doubt = "Turn"
	// Port: the choice depends on the client's port, which is not known.
	Port Doubt = "Port"
	// Threshold: a server is between its thresholds, and the kernel does not show whether it counts
	// as overloaded.
	Threshold Doubt = "Threshold"
	// Unknown: the scheduling method is none that this package knows.
	Unknown Doubt = "Unknown"
)

// Candidate is a server that may be chosen.
type Candidate struct {
	// Server is its place among the service's.
	Server int
	// Share is its part of new connections, 0 to 1; 0 where it is not known.
	Share float64
}

// Choice is what becomes of a new connection.
type Choice struct {
	// Candidates are the servers that it may go to, by their order: one if Doubt is None, and none if
	// no server takes it, which the kernel answers with an ICMP error (port unreachable).
	Candidates []Candidate
	// Doubt says why there are several.
	Doubt Doubt
	// MayRefuse says that it may also be refused; only with a Doubt.
	MayRefuse bool
}

// maxDoubtful bounds the servers between their thresholds of which all combinations are tried.
const maxDoubtful = 8

// Choose says where a new connection of a client goes; client port 0: not known.
func Choose(s *Service, client netip.AddrPort) Choice {
	loads := make([]load, len(s.Servers))
	var doubtful []int
	for i := range s.Servers {
		loads[i] = s.Servers[i].load()
		if loads[i] == perhaps && len(doubtful) < maxDoubtful {
			doubtful = append(doubtful, i)
		}
	}
	if len(doubtful) == 0 {
		return s.choose(loads, client)
	}
	return s.chooseAmid(loads, doubtful, client)
}

// chooseAmid joins what comes of each combination of servers that may be overloaded.
func (s *Service) chooseAmid(loads []load, doubtful []int, client netip.AddrPort) Choice {
	var all Choice
	seen := map[int]bool{}
	for bits := range 1 << len(doubtful) {
		for at, i := range doubtful {
			loads[i] = free
			if bits>>at&1 == 1 {
				loads[i] = over
			}
		}
		one := s.choose(loads, client)
		all.Doubt = max(all.Doubt, one.Doubt)
		all.MayRefuse = all.MayRefuse || one.MayRefuse || len(one.Candidates) == 0
		for _, c := range one.Candidates {
			seen[c.Server] = true
		}
	}
	for i := range s.Servers {
		if seen[i] {
			all.Candidates = append(all.Candidates, Candidate{Server: i})
		}
	}
	switch {
	case len(all.Candidates) == 0:
		return Choice{}
	case len(all.Candidates) == 1 && !all.MayRefuse:
		return certain(all.Candidates[0].Server)
	case all.Doubt == None:
		all.Doubt = Threshold
	}
	return all
}

// load is whether a server counts as overloaded (IP_VS_DEST_F_OVERLOAD).
type load uint8

const (
	free load = iota
	perhaps
	over
)

// load: a connection that reaches the upper threshold makes the server overloaded, and one that
// ends below the lower, or below three quarters of the upper, ends it (ip_vs_bind_dest and
// ip_vs_unbind_dest in ip_vs_conn.c).
func (d *Server) load() load {
	total := uint64(d.Active) + uint64(d.Inactive)
	switch {
	case d.Upper == 0:
		return free
	case total >= uint64(d.Upper):
		return over
	case d.Lower != 0 && total < uint64(d.Lower), d.Lower == 0 && total*4 < uint64(d.Upper)*3:
		return free
	}
	return perhaps
}

// choose decides when it is known who is overloaded.
func (s *Service) choose(loads []load, client netip.AddrPort) Choice {
	usable := func(i int) bool { return s.Servers[i].Weight > 0 && loads[i] == free }
	switch s.Scheduler {
	case model.RoundRobin:
		return s.turns(usable, func(*Server) int { return 1 })
	case model.WeightedRoundRobin:
		return s.turns(usable, func(d *Server) int { return d.Weight })
	case model.SourceHash, model.MaglevHash:
		return s.hashed(usable, client)
	case model.LeastConnection, model.WeightedLeastConnection, model.ShortestExpectedDelay,
		model.NeverQueue, model.WeightedFailover, model.WeightedOverflow:
		return certain(s.least(usable))
	}
	all := s.turns(usable, func(*Server) int { return 0 })
	if len(all.Candidates) > 0 {
		all.Doubt = Unknown
	}
	return all
}

// certain is the choice of one server, or with -1 of none.
func certain(i int) Choice {
	if i < 0 {
		return Choice{}
	}
	return Choice{Candidates: []Candidate{{Server: i, Share: 1}}}
}

// turns are the shares of servers that take turns.
func (s *Service) turns(usable func(int) bool, weight func(*Server) int) Choice {
	var c Choice
	sum := 0
	for i := range s.Servers {
		if usable(i) {
			sum += weight(&s.Servers[i])
			c.Candidates = append(c.Candidates, Candidate{Server: i})
		}
	}
	if len(c.Candidates) > 1 {
		c.Doubt = Turn
	}
	for i := range c.Candidates {
		if sum > 0 {
			c.Candidates[i].Share = float64(weight(&s.Servers[c.Candidates[i].Server])) / float64(sum)
		}
	}
	return c
}
