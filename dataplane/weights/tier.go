package weights

import (
	"time"

	"github.com/truepacs/balancer/dataplane/model"
)

// tier is which of a service's servers get connections.
type tier uint8

const (
	primaries tier = iota
	fallbacks
	// allOfThem: every server that the administrator allows, healthy or not.
	allOfThem
)

func tierOf(s *model.RealServer) tier {
	if s.Fallback {
		return fallbacks
	}
	return primaries
}

// tier chooses. Primaries serve while one of them can; once the fallback servers serve, they go on
// until a primary has been up for the service's HoldDown, or until none of them can and a primary can. With
// nobody left, AllDown decides; which tier served last is kept for when they return.
func (d *decision) tier(key string, s *model.VirtualService, states []state) tier {
	servers := s.Servers
	primary, oldest := d.serving(servers, states, primaries)
	fallback, _ := d.serving(servers, states, fallbacks)
	onFallback := d.before.onFallback[key]
	switch {
	case primary && onFallback && fallback && !d.heldDown(oldest, s.HoldDown):
	case primary:
		onFallback = false
	case fallback:
		onFallback = true
	}
	d.remember(key, onFallback)
	switch {
	case !primary && !fallback && s.AllDown == model.AllDownUseAll && allDown(states):
		return allOfThem
	case onFallback:
		return fallbacks
	default:
		return primaries
	}
}

// serving tells whether a server of the tier may get connections, and since when the one that has
// been up longest is up; zero: from the beginning.
func (d *decision) serving(servers []model.RealServer, states []state, t tier) (some bool, oldest time.Time) {
	for i := range servers {
		if tierOf(&servers[i]) != t || !states[i].serves() || servers[i].Weight <= 0 {
			continue
		}
		if !some || states[i].since.Before(oldest) {
			oldest = states[i].since
		}
		some = true
	}
	return some, oldest
}

// heldDown tells whether a server that is up since then may take over again.
func (d *decision) heldDown(since time.Time, holdDown time.Duration) bool {
	due := since.Add(holdDown)
	if !due.After(d.now) {
		return true
	}
	d.wake(due)
	return false
}

// allDown tells whether no server is up that the administrator allows: a service whose servers are
// well and drained by their own wish is not down.
func allDown(states []state) bool {
	for _, s := range states {
		if s.allowed && s.up {
			return false
		}
	}
	return true
}

func (d *decision) remember(key string, onFallback bool) {
	if onFallback {
		d.after.onFallback[key] = true
	}
}
