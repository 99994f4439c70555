package eventloop

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWheelAgainstModel sets, moves and stops timers at random and compares with a plain list: each fires in the
// first turn at or after its tick, once, and next never says a later time than that of the earliest.
func TestWheelAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w wheel
		timers := make([]*Timer, 20)
		for i := range timers {
			timers[i] = new(Timer)
		}
		want := map[*Timer]int64{}
		start := rapid.Int64Range(0, 1<<40).Draw(t, "start")
		w.expire(start)
		now := start
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			timer := timers[rapid.IntRange(0, len(timers)-1).Draw(t, "timer")]
			span := int64(1) << rapid.IntRange(0, 33).Draw(t, "span")
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				d := now + rapid.Int64Range(-2, span).Draw(t, "deadline")
				w.set(timer, d)
				want[timer] = max(d, now+1)
			case 2:
				w.stop(timer)
				delete(want, timer)
			case 3:
				now += rapid.Int64Range(0, span).Draw(t, "later")
				for f := w.expire(now); f != nil; f = w.expire(now) {
					if d, ok := want[f]; !ok || d > now {
						t.Fatalf("fired at %d, wanted %v at %d", now, ok, d)
					}
					delete(want, f)
				}
			}
			for timer, d := range want {
				if d <= now {
					t.Fatalf("a timer for %d has not fired at %d", d, now)
				}
				if next, ok := w.next(); !ok || next > time.Duration(d)*Tick || !timer.Active() {
					t.Fatalf("next is %v %v, a timer waits for %v", next, ok, time.Duration(d)*Tick)
				}
			}
			if next, ok := w.next(); len(want) == 0 && ok {
				t.Fatalf("next is %v, no timer is set", next)
			}
		}
	})
}

// A timer may be stopped and set while those of its tick fire.
func TestWheelChangesWhileFiring(t *testing.T) {
	var w wheel
	var a, b, c Timer
	for _, timer := range []*Timer{&a, &b, &c} {
		w.set(timer, 5)
	}
	first := w.expire(9)
	for _, timer := range []*Timer{&a, &b, &c} {
		if timer != first {
			w.stop(timer)
		}
	}
	w.set(first, 3)
	if got := w.expire(9); got != first {
		t.Errorf("set again for a time that has passed: %p fired, want %p", got, first)
	}
	if got := w.expire(100); got != nil || a.Active() || b.Active() || c.Active() {
		t.Errorf("stopped timers fire: %p", got)
	}
}

// A timer that moves to later is not touched until its old time, and nothing allocates.
func TestWheelLaterIsAStore(t *testing.T) {
	var w wheel
	timers := make([]Timer, 100)
	got := testing.AllocsPerRun(100, func() {
		for i := range timers {
			w.set(&timers[i], w.at+int64(rand.IntN(1000)))
			list, looked := timers[i].list, timers[i].looked
			w.set(&timers[i], w.at+2000)
			if timers[i].list != list || timers[i].looked != looked {
				t.Fatal("it was moved")
			}
		}
		for f := w.expire(w.at + 2000); f != nil; f = w.expire(w.at) {
			_ = f
		}
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}
