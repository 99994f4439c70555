package weights

import (
	"time"

	"github.com/truepacs/balancer/dataplane/model"
)

// rampSteps is how many weights a server goes through that comes back: 10, 20 ... 100 per cent. Each
// is a write to the kernel for each service, so they are few.
const rampSteps = 10

// ramped returns the part of weight that a server gets which came up a while ago, and asks to be
// called for the next step.
func (d *decision) ramped(s *model.RealServer, st state, weight int) int {
	if st.since.IsZero() || s.SlowStart <= 0 || weight <= 0 {
		return weight
	}
	step, next := rampStep(d.now.Sub(st.since), s.SlowStart)
	if step == rampSteps {
		return weight
	}
	d.wake(st.since.Add(next))
	return max(1, weight*step/rampSteps)
}

// rampStep returns the step, 1 to 10, that holds a time after the return, and when the next one
// begins. The full weight is reached at slowStart.
func rampStep(after, slowStart time.Duration) (step int, next time.Duration) {
	if after < 0 { // the clock was set back
		after = 0
	}
	each := max(slowStart/(rampSteps-1), 1)
	step = 1 + int(min(after/each, rampSteps-1))
	if after >= slowStart {
		step = rampSteps
	}
	return step, min(time.Duration(step)*each, slowStart)
}
