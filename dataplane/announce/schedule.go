package announce

import "time"

// Schedule says when an address is announced.
type Schedule struct {
	// Burst are the times of the first announcements, counted from the moment the address is
	// set; ascending.
	Burst []time.Duration
	// Refresh is the time between later announcements; 0: none. They reach what was off or
	// unreachable during the burst, a switch that was restarted for example.
	Refresh time.Duration
	// Retry is the time between attempts while sending fails.
	Retry time.Duration
}

// DefaultSchedule returns the schedule unless configured otherwise. RFC 5227 section 2.3 asks
// for two announcements two seconds apart; the first is repeated sooner and the last comes later
// for switches whose ports take a while to forward. IPv6 addresses follow the same times; RFC 4861
// section 10 has three advertisements one second apart.
func DefaultSchedule() Schedule {
	return Schedule{
		Burst:   []time.Duration{0, time.Second, 2 * time.Second, 5 * time.Second},
		Refresh: time.Minute,
		Retry:   time.Second,
	}
}

// after returns how long after the n-th announcement, from 1 up, the next one comes; false if
// none does.
func (s Schedule) after(n int) (time.Duration, bool) {
	if n < len(s.Burst) {
		return s.Burst[n] - s.Burst[n-1], true
	}
	return s.Refresh, s.Refresh > 0
}

func longAgo() time.Time { return time.Unix(1, 0) }
