package health

import (
	"container/heap"
	"context"
	"os"
	"time"
)

// cruise is how a target is checked that is up and answers: the loop makes its probes one after the other,
// without waking up the runner's goroutine. It ends at the first probe that does not simply pass in good
// time; the runner takes over from there. Guarded by loop.mu.
type cruise struct {
	pilot pilot
	leg   leg
	// flight is the probe in the air; nil: the next one waits for leg.due.
	flight *flight
	// resting is the flight before, whose socket the next one takes over; nil: none.
	resting *flight
	start   time.Time
	// at is what the loop waits for: the start of the leg, or the end of its patience.
	at time.Time
	// place in loop.cruises; -1: none.
	place int
	ended chan ending
}

// leg is one probe of a cruise.
type leg struct {
	check  int
	prober flier
	due    time.Time
	// patience is how long the probe may last until further ones are made; 0: as long as it takes.
	patience time.Duration
}

// ending is the probe that ended a cruise.
type ending struct {
	leg   leg
	start time.Time
	// flight is in the air still if aloft is set; nil: it could not take off, because of err.
	flight *flight
	aloft  bool
	err    error
}

// pilot says how a cruise goes on after a pass; false: not at all.
type pilot interface {
	passed(l leg, start, end time.Time) (next leg, ok bool)
}

// cruise makes probes until one does not pass; false: ctx ended before.
func (l *loop) cruise(ctx context.Context, p pilot, first leg) (ending, bool) {
	c := &cruise{pilot: p, leg: first, at: first.due, place: -1, ended: make(chan ending, 1)}
	l.launch(c)
	select {
	case e := <-c.ended:
		return e, true
	case <-ctx.Done():
	}
	l.mu.Lock()
	f := c.flight
	c.leave(l)
	l.mu.Unlock()
	if f != nil {
		l.cut(f)
	}
	return ending{}, false
}

// launch puts a cruise among those that wait. A loop that cannot start ends it.
func (l *loop) launch(c *cruise) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ready(); err != nil {
		c.ended <- ending{leg: c.leg, start: time.Now(), err: err}
		return
	}
	heap.Push(&l.cruises, c)
	l.wakeBy(c.at)
}

// leave takes a cruise out of the loop; its flight lands by itself. Call it with l.mu held.
func (c *cruise) leave(l *loop) {
	if c.resting != nil {
		c.resting.drop()
		c.resting = nil
	}
	if c.place >= 0 {
		heap.Remove(&l.cruises, c.place)
	}
	if c.flight != nil {
		c.flight.cruise = nil
		c.flight = nil
	}
}

// depart makes the probes that are due, and ends cruises whose probe lasts too long. It returns how many it made.
func (l *loop) depart(now time.Time) (made int) {
	for c := l.dueCruise(now); c != nil; c = l.dueCruise(now) {
		if c.flight == nil {
			l.takeOff(c)
			made++
		} else {
			l.end(c, ending{leg: c.leg, start: c.start, flight: c.flight, aloft: true})
		}
	}
	return made
}

// dueCruise is one that waits for a time that has come.
func (l *loop) dueCruise(now time.Time) *cruise {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.cruises) == 0 {
		return nil
	}
	if c := l.cruises[0]; !c.at.After(now) {
		return c
	}
	l.wakeBy(l.cruises[0].at)
	return nil
}

// takeOff starts the probe of a cruise.
func (l *loop) takeOff(c *cruise) {
	start := time.Now()
	f, err := l.crew(c, start)
	if err == nil {
		if err = l.carry(c, f, start); err != nil {
			f.drop()
		}
	}
	if err != nil {
		l.end(c, ending{leg: c.leg, start: start, err: err})
	}
}

// crew returns a flight that has taken off: the one that rests, if any.
func (l *loop) crew(c *cruise, start time.Time) (*flight, error) {
	l.mu.Lock()
	f := c.resting
	c.resting = nil
	l.mu.Unlock()
	at := c.leg.prober.where()
	deadline := start.Add(at.timeout)
	if f == nil {
		return takeOff(at.address, c.leg.prober.conversation(nil), deadline)
	}
	f.echo = c.leg.prober.conversation(f.echo)
	if err := f.again(at.address, deadline); err != nil {
		f.drop()
		return nil, err
	}
	return f, nil
}

// carry gives a cruise its flight, which the loop knows first: one that is recalled later cuts it.
func (l *loop) carry(c *cruise, f *flight, start time.Time) error {
	if err := l.fly(f); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.place < 0 { // recalled meanwhile
		delete(l.flights, f.fd)
		return os.ErrClosed
	}
	f.cruise, c.flight, c.start = c, f, start
	if c.at = start.Add(c.leg.patience); c.leg.patience == 0 {
		c.at = f.deadline.Add(time.Hour) // it lands by its deadline
	}
	heap.Fix(&l.cruises, c.place)
	return nil
}

// end ends a cruise, unless it was recalled.
func (l *loop) end(c *cruise, e ending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.place < 0 {
		return
	}
	c.leave(l)
	c.ended <- e
}

// arrived carries on the cruise of a flight that has landed.
func (l *loop) arrived(c *cruise, f *flight) {
	if r := c.leg.prober.landed(f); r.Grade == Pass && r.Reason == "" {
		if next, ok := c.pilot.passed(c.leg, c.start, time.Now()); ok {
			l.goOn(c, next, f)
			return
		}
	}
	f.drop()
	l.end(c, ending{leg: c.leg, start: c.start, flight: f})
}

// goOn lets a cruise wait for its next leg, with the flight that made the one before if it goes to the same place.
func (l *loop) goOn(c *cruise, next leg, f *flight) {
	rests := next.check == c.leg.check && f.rest()
	if !rests {
		f.drop()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.place < 0 {
		if rests {
			f.drop()
		}
		return
	}
	c.leg, c.at, c.flight = next, next.due, nil
	if rests {
		c.resting = f
	}
	heap.Fix(&l.cruises, c.place)
	l.wakeBy(c.at)
}

// cruises is a heap by what they wait for.
type cruises []*cruise

var _ heap.Interface = (*cruises)(nil)

func (q cruises) Len() int           { return len(q) }
func (q cruises) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q cruises) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push implements heap.Interface.
func (q *cruises) Push(x any) {
	c := x.(*cruise)
	c.place = len(*q)
	*q = append(*q, c)
}

// Pop implements heap.Interface.
func (q *cruises) Pop() any {
	last := len(*q) - 1
	c := (*q)[last]
	(*q)[last] = nil
	*q, c.place = (*q)[:last], -1
	return c
}
