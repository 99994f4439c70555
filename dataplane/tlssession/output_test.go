package tlssession

import (
	"errors"
	"testing"
)

type plain struct{}

func (plain) Borrow(n int) []byte { return make([]byte, 0, n) }
func (plain) Return([]byte)       {}

// TestAnswersAreBounded queues answers of the size of a KeyUpdate, as many as a peer that takes
// none could ask for; a peer that takes them may go on.
func TestAnswersAreBounded(t *testing.T) {
	update := make([]byte, 27)
	for name, tc := range map[string]struct{ takes, floods bool }{"takes them": {true, false}, "takes none": {false, true}} {
		o, err := output{buffers: plain{}}, error(nil)
		for range 10_000 {
			if err = o.answer(update); err != nil {
				break
			}
			if len(o.buf) > maxAnswers {
				t.Fatalf("%s: %d bytes wait", name, len(o.buf))
			}
			if tc.takes {
				o.sent(len(o.buf) - o.off)
			}
		}
		var e *Error
		if errors.As(err, &e) != tc.floods || tc.floods && e.Reason != Flood {
			t.Errorf("%s: %v", name, err)
		}
	}
}
