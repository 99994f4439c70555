package eventloop

import "sync/atomic"

// counters of a loop; others may read them at any time.
type counters struct {
	turns, parks, events, stale, accepted, handedOver atomic.Uint64
}

// Stats is what a loop has done since it began.
type Stats struct {
	Turns      uint64 // rounds of work
	Parks      uint64 // times it found nothing to do and slept
	Events     uint64 // news from the kernel
	Stale      uint64 // news of descriptors that were closed by then, left out
	Accepted   uint64 // connections it was given
	HandedOver uint64 // connections it accepted for other loops
	Open       int64  // connections it has
}

// Stats may be called from any goroutine.
func (l *Loop) Stats() Stats {
	c := &l.counters
	return Stats{
		Turns: c.turns.Load(), Parks: c.parks.Load(), Events: c.events.Load(), Stale: c.stale.Load(),
		Accepted: c.accepted.Load(), HandedOver: c.handedOver.Load(), Open: l.open.Load(),
	}
}
