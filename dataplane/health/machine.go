package health

import "time"

// Status is what a check has decided about its target.
type Status uint8

// Statuses.
const (
	Unknown Status = iota
	Healthy
	Unhealthy
)

// Grade is what one probe says about the server.
type Grade uint8

// Grades.
const (
	// Pass: the server works.
	Pass Grade = iota
	// Fail: it does not.
	Fail
	// Inconclusive: the probe could not be made; nothing was learnt about the server.
	Inconclusive
)

// Policy is when a check decides and how often it is made. All fields are positive.
type Policy struct {
	Rise, Fall         int
	Period, FastPeriod time.Duration
}

// State is the rise/fall machine of one check, a plain value. The zero value knows nothing: its
// first result decides.
type State struct {
	Status Status
	// Assumed: Status was declared or inherited, no result has confirmed it. An assumed Healthy
	// takes Fall failures to go down like any other; an assumed Unhealthy is lifted by one pass.
	Assumed bool
	// Run counts the results in a row that speak against Status. It stays below the threshold.
	Run int
}

// Step returns the state after one result and the time from the start of the probe that gave it to
// the start of the next one.
func (s State) Step(g Grade, p Policy) (State, time.Duration) {
	s = s.apply(g, p)
	if s.Deciding() {
		return s, p.FastPeriod
	}
	return s, p.Period
}

// Deciding tells that the last result spoke against Status and more are needed.
func (s State) Deciding() bool { return s.Run > 0 }

// Decided tells that Status rests on results.
func (s State) Decided() bool { return s.Status != Unknown && !s.Assumed }

func (s State) apply(g Grade, p Policy) State {
	switch {
	case g == Inconclusive:
		return s
	case g == Pass && (s.Status != Unhealthy || s.Assumed):
		return State{Status: Healthy}
	case g == Fail && s.Status != Healthy:
		return State{Status: Unhealthy}
	case g == Pass:
		return s.contradict(Healthy, p.Rise)
	default:
		return s.contradict(Unhealthy, p.Fall)
	}
}

// contradict counts a result against the present status and changes it when they are enough.
func (s State) contradict(to Status, enough int) State {
	s.Run++
	if s.Run >= enough {
		return State{Status: to}
	}
	return s
}

// start is the machine of a check of a new target.
func (i Initial) start() State {
	switch i {
	case InitiallyHealthy:
		return State{Status: Healthy, Assumed: true}
	case InitiallyUnhealthy:
		return State{Status: Unhealthy, Assumed: true}
	default:
		return State{}
	}
}
