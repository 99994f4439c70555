package health

import (
	"math/rand/v2"
	"time"
)

// slot is when a check is due.
type slot struct {
	due      time.Time
	deciding bool
}

// pick returns the check to make next and how long to wait for it. Among those that are due, one
// that is deciding goes first: a target makes one probe at a time, and when every probe times out
// the checks would otherwise take turns and multiply the time to a verdict. Deciding ends after Rise
// or Fall results, so nobody starves.
func pick(slots []slot, now time.Time) (index int, wait time.Duration) {
	for i, s := range slots {
		if before(s, slots[index], now) {
			index = i
		}
	}
	return index, max(0, slots[index].due.Sub(now))
}

// before orders two slots for pick.
func before(a, b slot, now time.Time) bool {
	aDue, bDue := !a.due.After(now), !b.due.After(now)
	if aDue && bDue && a.deciding != b.deciding {
		return a.deciding
	}
	return a.due.Before(b.due)
}

// nextDue returns when a check is due after a probe that ran from start to end. Periods count from
// start to start, which saves the probe's own time whenever it is slow. Only when nothing is being
// decided does a slow server get a pause of fast between two probes.
func nextDue(start, end time.Time, delay time.Duration, deciding bool, fast time.Duration) time.Time {
	pause := fast
	if deciding {
		pause = 0
	}
	due, least := start.Add(delay), end.Add(pause)
	if due.Before(least) {
		return least
	}
	return due
}

// spacing is how far apart the first probes of targets that come together are on average.
const spacing = 5 * time.Millisecond

// latest is how much a regular period may be lengthened: detection within period times threshold
// plus 200 ms is a promise.
const latest = 50 * time.Millisecond

// firstDelay spreads the first probes of n new checks: one alone is made at once, a thousand within
// five seconds, never later than their period.
func firstDelay(r *rand.Rand, n int, period time.Duration) time.Duration {
	return time.Duration(r.Float64() * float64(min(time.Duration(n-1)*spacing, period)))
}

// jittered shortens or lengthens a regular period by up to the fraction, and by no less than the
// grid would hide, so that checks which started together drift apart. 0 means none.
func jittered(r *rand.Rand, d time.Duration, fraction float64) time.Duration {
	if fraction == 0 {
		return d
	}
	most := max(fraction*float64(d), float64(min(grid, d/2)))
	return d + min(time.Duration((2*r.Float64()-1)*most), latest)
}

// grid is what regular probes are aligned to: many are made together and the program wakes up less
// often, which is most of what a thousand checks a second cost beside system calls.
const grid = 100 * time.Millisecond

// aligned moves a time to the nearest point of the grid that starts at origin.
func aligned(origin, due time.Time) time.Time {
	return origin.Add(due.Sub(origin).Round(grid))
}
