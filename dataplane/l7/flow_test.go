package l7

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/stream"
)

// endless is a source that always has more.
type endless struct{ turns int }

func (e *endless) read(p []byte) (int, bool, error) { return len(p), false, nil }
func (e *endless) inline(dst []byte, _ int, _ bool) ([]byte, int, bool, error) {
	return dst, 0, false, nil
}
func (e *endless) trailers() []byte                { return nil }
func (e *endless) direct() (*stream.Stream, int64) { return nil, 0 }
func (e *endless) took(int, error) (bool, error)   { return false, nil }
func (e *endless) again()                          { e.turns++ }

type nobody struct{}

func (nobody) Ready(*stream.Stream, eventloop.Events) {}

// A flow that could go on for ever lets others have their turn, and asks for another of its own.
func TestFlowTakesTurns(t *testing.T) {
	const turn = 20_000
	group, err := eventloop.New(eventloop.Config{Loops: 1, TurnBytes: turn})
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	l := group.Loops()[0]
	var s stream.Stream
	var f flow
	from := &endless{}
	done := make(chan error, 1)
	l.Do(func() {
		if err := s.Accept(l, fds[0], nobody{}); err != nil {
			done <- err
			return
		}
		f.begin(from, &wire{to: &s})
		done <- f.pump(&client{w: &worker{loop: l}})
	})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if from.turns != 1 || f.moved < turn || f.moved >= turn+pieceSize {
		t.Errorf("%d bytes in one turn of %d, asked for %d more turns", f.moved, turn, from.turns)
	}
}
