package eventloop

import (
	"math/bits"
	"time"
)

const (
	// Tick is the grain of timers: they fire up to one tick late, never early. The shortest timeouts of a proxy
	// are tenths of a second, so 10 ms are fine enough, and coarse enough that the timers of a burst share
	// one wake-up.
	Tick = 10 * time.Millisecond

	wheelBits   = 6
	wheelSlots  = 1 << wheelBits
	wheelLevels = 5 // 64^5 ticks are 124 days; what is further away is looked at again then
	dueList     = wheelLevels * wheelSlots
)

// Expirer is told that a timer has run out.
type Expirer interface {
	Expired(*Timer)
}

// Timer lies in its owner; set it with Loop.SetTimer. Only To is set by the owner, once.
type Timer struct {
	To         Expirer
	next, prev *Timer
	deadline   int64 // tick at which it runs out
	looked     int64 // tick at which the wheel looks at it, not after deadline
	list       int16 // which list it is on, from 1; 0: none
}

// Active says whether the timer is set.
func (t *Timer) Active() bool { return t.list != 0 }

// wheel is a hierarchical timer wheel: 5 levels of 64 lists, the first of one tick each, the others of 64 times
// the one before. Setting, moving and stopping take a constant time, and a timer that only moves to
// later stays where it is until the wheel looks at it. It is a pure value: it has no clock.
type wheel struct {
	at    int64 // tick up to which everything has run out
	used  [wheelLevels]uint64
	lists [dueList + 1]*Timer
}

// ticks is a time as a tick, rounded up.
func ticks(d time.Duration) int64 { return int64((d + Tick - 1) / Tick) }

// set has a timer run out at a tick, the next one at the earliest.
func (w *wheel) set(t *Timer, deadline int64) {
	t.deadline = deadline
	if t.Active() {
		if t.looked <= deadline {
			return
		}
		w.unlink(t)
	}
	w.link(t)
}

func (w *wheel) stop(t *Timer) {
	if t.Active() {
		w.unlink(t)
	}
}

func (w *wheel) link(t *Timer) {
	const reach = 1<<(wheelBits*wheelLevels) - 1
	t.looked = min(max(t.deadline, w.at+1), w.at+reach)
	level := min((bits.Len64(uint64(t.looked^w.at))-1)/wheelBits, wheelLevels-1)
	w.insert(t, level*wheelSlots+int(t.looked>>(level*wheelBits))%wheelSlots)
}

func (w *wheel) insert(t *Timer, list int) {
	head := w.lists[list]
	t.next, t.prev, t.list = head, nil, int16(list+1)
	if head != nil {
		head.prev = t
	}
	w.lists[list] = t
	if list < dueList {
		w.used[list/wheelSlots] |= 1 << (list % wheelSlots)
	}
}

func (w *wheel) unlink(t *Timer) {
	list := int(t.list - 1)
	if t.next != nil {
		t.next.prev = t.prev
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else if w.lists[list] = t.next; t.next == nil && list < dueList {
		w.used[list/wheelSlots] &^= 1 << (list % wheelSlots)
	}
	t.next, t.prev, t.list = nil, nil, 0
}

// earliest is the list to be looked at next, and when.
func (w *wheel) earliest() (tick int64, list int, ok bool) {
	for level, used := range w.used {
		if used == 0 {
			continue
		}
		shift := level * wheelBits
		base := w.at >> (shift + wheelBits) << (shift + wheelBits)
		later := used &^ (2<<(w.at>>shift%wheelSlots) - 1)
		if later == 0 { // only the last level turns over
			later, base = used, base+1<<(shift+wheelBits)
		}
		slot := bits.TrailingZeros64(later)
		return base + int64(slot)<<shift, level*wheelSlots + slot, true
	}
	return 0, 0, false
}

// next is when expire should be called next.
func (w *wheel) next() (at time.Duration, ok bool) {
	if w.lists[dueList] != nil {
		return time.Duration(w.at) * Tick, true
	}
	tick, _, ok := w.earliest()
	return time.Duration(tick) * Tick, ok
}

// expire moves the wheel on to a tick and returns a timer that has run out, unset; nil: no more has.
func (w *wheel) expire(to int64) *Timer {
	for {
		for t := w.lists[dueList]; t != nil; t = w.lists[dueList] {
			w.unlink(t)
			if t.deadline <= w.at {
				return t
			}
			w.link(t)
		}
		tick, list, ok := w.earliest()
		if !ok || tick > to {
			w.at = max(w.at, to)
			return nil
		}
		w.at = tick
		for t := w.lists[list]; t != nil; t = w.lists[list] {
			w.unlink(t)
			w.insert(t, dueList)
		}
	}
}

// SetTimer has t.To told once d has passed, also if t was set before. It is cheap to call for every byte if d
// only moves to later, and cheaper still to note Now and to look at it when the timer fires.
func (l *Loop) SetTimer(t *Timer, d time.Duration) { l.wheel.set(t, ticks(l.now+d)) }

// StopTimer has t.To not told.
func (l *Loop) StopTimer(t *Timer) { l.wheel.stop(t) }

// fire tells those whose time has come.
func (l *Loop) fire() {
	to := int64(l.now / Tick)
	for t := l.wheel.expire(to); t != nil; t = l.wheel.expire(to) {
		t.To.Expired(t)
	}
}
