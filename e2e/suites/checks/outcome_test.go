package checks

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// store is one association with one object.
type store struct {
	sop   string
	began time.Time
	took  time.Duration
	code  int
	said  string
}

// failed tells whether the modality gave up or was refused.
func (s store) failed() bool { return s.code != 0 }

// outcome is what the stores around a fault show.
type outcome struct {
	stores, failed, goodAfter int
	// last is when, after the fault, the last store that failed had begun.
	last time.Duration
}

func (o outcome) String() string {
	return fmt.Sprintf("%d stores, %d failed, the last one begun %v after the fault, %d good ones after it",
		o.stores, o.failed, o.last.Round(10*time.Millisecond), o.goodAfter)
}

// judged counts stores. One that was under way at the fault counts, with a time below zero.
func judged(list []store, struck time.Time) outcome {
	o := outcome{stores: len(list)}
	for _, s := range list {
		switch at := s.began.Sub(struck); {
		case s.failed():
			o.failed++
			o.last, o.goodAfter = at, 0
		case at > 0:
			o.goodAfter++
		}
	}
	return o
}

func judgeFailures(t *testing.T, o outcome) {
	t.Helper()
	if o.failed > mostFailures {
		t.Errorf("%d associations failed, at most %d may", o.failed, mostFailures)
	}
	judgeSample(t, o)
}

func judgeTime(t *testing.T, o outcome) {
	t.Helper()
	if o.last > longest {
		t.Errorf("stores failed until %v after the fault, at most %v may pass", o.last, longest)
	}
	judgeSample(t, o)
}

// judgeSample: stores must have gone on, and some must have come after the last that failed.
func judgeSample(t *testing.T, o outcome) {
	t.Helper()
	if o.stores < int((before+after)/time.Second)-2 || o.goodAfter < 3 {
		t.Errorf("%s: the sample is too small", o)
	}
}

// TestJudged: a judge that cannot say no proves nothing.
func TestJudged(t *testing.T) {
	zero := time.Now()
	at := func(code int, seconds ...int) (list []store) {
		for _, s := range seconds {
			list = append(list, store{began: zero.Add(time.Duration(s) * time.Second), code: code})
		}
		return list
	}
	list := append(at(0, -2, -1), at(1, 0, 2)...)
	list = append(list, at(0, 3)...)
	list = append(list, at(1, 4)...)
	list = append(list, at(0, 5, 6)...)
	want := outcome{stores: 8, failed: 3, goodAfter: 2, last: 4 * time.Second}
	if diff := cmp.Diff(want, judged(list, zero), cmp.AllowUnexported(outcome{})); diff != "" {
		t.Error(diff)
	}
	if s := judged(list, zero).String(); !strings.Contains(s, "3 failed") {
		t.Error(s)
	}
}
