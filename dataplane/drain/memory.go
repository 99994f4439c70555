package drain

import (
	"time"

	"github.com/truepacs/balancer/dataplane/model"
)

// Start says since when a server leaves.
type Start struct {
	// State is Drain or Maintenance.
	State model.ServerState `json:"state"`
	// Since is when the state was first seen.
	Since time.Time `json:"since"`
}

// Starts are those of all servers that leave; their keys are opaque. It is what must outlive the
// process: without it the drain timeout begins anew.
type Starts map[string]Start

// Memory is what Decide must remember between calls; the zero value is a fresh start. It is a
// value: Decide returns a new one and leaves the old one as it was.
type Memory struct {
	servers map[string]entry
	readAt  time.Time
}

// Restore returns a Memory that knows since when servers leave and nothing else.
func Restore(starts Starts) Memory {
	m := Memory{servers: make(map[string]entry, len(starts))}
	for key, start := range starts {
		m.servers[key] = entry{Start: start}
	}
	return m
}

// Starts returns what Restore needs; nil if nothing leaves.
func (m Memory) Starts() Starts {
	var all Starts
	for key, e := range m.servers {
		if all == nil {
			all = make(Starts, len(m.servers))
		}
		all[key] = e.Start
	}
	return all
}

// entry is one server that leaves.
type entry struct {
	Start
	phase     Phase
	counted   bool // open and tcp are known
	open, tcp int
	empty     int          // readings without a connection in a row
	out       bool         // the kernel has forgotten it
	flows     map[Flow]int // to be reset, with the readings since they were last open
	shown     Status
	shownAt   time.Time
}

func (e entry) is(state model.ServerState) bool { return e.State == state }

// deadline is when connections are reset; zero: never.
func (e entry) deadline(s *model.VirtualService) time.Time {
	switch {
	case e.State == model.Maintenance:
		return e.Since
	case s.DrainTimeout > 0:
		return e.Since.Add(s.DrainTimeout)
	}
	return time.Time{}
}

func (e entry) over(s *model.VirtualService, now time.Time) bool {
	deadline := e.deadline(s)
	return !deadline.IsZero() && !now.Before(deadline)
}

// identity is the key of a server of a service. An address has one family, so it tells the two
// entries of a service apart, too.
func identity(s *model.VirtualService, server *model.RealServer) string {
	return s.Key + " " + server.Name + " " + server.Address.String()
}
