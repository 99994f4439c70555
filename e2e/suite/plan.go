package suite

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
)

// Plan says which part of a run without end a suite makes. A part depends on seed and number
// alone, so that a long run can be resumed at the number at which it was interrupted.
type Plan struct {
	// Name begins the names of the environment's variables: NAME_SEED, NAME_FROM, NAME_UNIT.
	Name string
	// Unit is what is counted, in capitals: ROUNDS.
	Unit string
	// Seed of the run.
	Seed uint64
	// From is the number of the first part, counted from 1; absent: 1.
	From uint64
	// Count is how many parts are made, beginning with From.
	Count uint64
}

// Read returns the plan as the environment changes it. A value that is no number, or 0 where parts
// are counted, is an error.
func (p Plan) Read() (Plan, error) {
	p.From = max(p.From, 1)
	for _, v := range []struct {
		name  string
		value *uint64
		least uint64
	}{{"SEED", &p.Seed, 0}, {"FROM", &p.From, 1}, {p.Unit, &p.Count, 1}} {
		n, err := Number(p.Name+"_"+v.name, *v.value)
		if err != nil {
			return p, err
		}
		if n < v.least {
			return p, fmt.Errorf("%s_%s=%d: write a number from %d on", p.Name, v.name, n, v.least)
		}
		*v.value = n
	}
	return p, nil
}

// Last is the number of the last part.
func (p Plan) Last() uint64 { return p.From + p.Count - 1 }

// SeedOf is the seed of a part: that of the plan in part 1.
func (p Plan) SeedOf(n uint64) uint64 { return p.Seed + n - 1 }

// Round runs each part as a round and says which it is, so that it can be made again.
func (p Plan) Round(t *testing.T, round func(n uint64)) {
	t.Helper()
	for n := p.From; n <= p.Last(); n++ {
		t.Logf("round %d of %d, seed %d", n, p.Last(), p.Seed)
		round(n)
		if t.Failed() {
			t.Fatalf("round %d of %d, seed %d: failed; make it again with %s", n, p.Last(), p.Seed, p.only(n))
		}
	}
}

// only is the plan of a single part.
func (p Plan) only(n uint64) Plan {
	p.From, p.Count = n, 1
	return p
}

// Shuffled returns items in the order that a part has them in; part 1 has them as they are listed.
func Shuffled[T any](p Plan, n uint64, items []T) []T {
	items = slices.Clone(items)
	if n > 1 {
		rand.New(rand.NewPCG(p.Seed, n)).Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	}
	return items
}

func (p Plan) String() string {
	return fmt.Sprintf("%[1]s_SEED=%[2]d %[1]s_FROM=%[3]d %[1]s_%[4]s=%[5]d", p.Name, p.Seed, p.From, p.Unit, p.Count)
}

// Number is what a variable of the environment says, else absent. It has at most 32 bits.
func Number(variable string, absent uint64) (uint64, error) {
	text := os.Getenv(variable)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s=%s: write a number: %w", variable, text, err)
	}
	return n, nil
}

// Run runs the tests of a suite and prints as its last line how to make the same run again, and
// the verdict. Call it from TestMain, which then returns.
func (p Plan) Run(m *testing.M) {
	plan, err := p.Read()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	verdict := "passed"
	if m.Run() != 0 {
		verdict = "FAILED"
	}
	fmt.Printf("%s: %s\n", plan, verdict)
}
