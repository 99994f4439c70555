package l7

import (
	"errors"

	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/stream"
)

// largeSize holds the largest head (http1.DefaultHeadBytes) with what came behind it.
const largeSize = 64 << 10

// input is the bytes that were read from a stream and not used yet. It holds no memory while there are none.
type input struct {
	block *eventloop.Block
	large []byte // in place of block, for heads larger than it
	r, w  int32
}

func (in *input) memory() []byte {
	switch {
	case in.large != nil:
		return in.large
	case in.block != nil:
		return in.block[:]
	}
	return nil
}

func (in *input) buffered() []byte { return in.memory()[in.r:in.w] }

// skip uses n buffered bytes.
func (in *input) skip(n int) { in.r += int32(n) }

// release gives the memory back if nothing is buffered.
func (in *input) release(l *eventloop.Loop) {
	if in.r == in.w {
		in.drop(l)
	}
}

// drop forgets what is buffered.
func (in *input) drop(l *eventloop.Loop) {
	if in.block != nil {
		l.GiveBlock(in.block)
	}
	*in = input{}
}

// errTooMuch is what a head gets that is larger than the codec allows, if the codec has not said so.
var errTooMuch = errors.New("more than a head is buffered")

// fill reads more behind what is buffered, whose place may change.
func (in *input) fill(l *eventloop.Loop, s *stream.Stream) error {
	if err := in.grow(l); err != nil {
		return err
	}
	n, err := s.Read(in.memory()[in.w:])
	in.w += int32(n)
	if n > 0 {
		return nil
	}
	in.release(l)
	return err
}

// grow makes room for one byte at least.
func (in *input) grow(l *eventloop.Loop) error {
	m := in.memory()
	switch {
	case m == nil:
		in.block = l.TakeBlock()
	case int(in.w) < len(m):
	case in.r > 0:
		in.w = int32(copy(m, m[in.r:in.w]))
		in.r = 0
	case in.large != nil:
		return errTooMuch
	default:
		in.large = make([]byte, largeSize)
		copy(in.large, m)
		l.GiveBlock(in.block)
		in.block = nil
	}
	return nil
}

// unread puts bytes back in front of what is still to be read; nothing is buffered.
func (in *input) unread(l *eventloop.Loop, p []byte) {
	if len(p) == 0 {
		return
	}
	in.drop(l)
	in.block = l.TakeBlock()
	in.w = int32(copy(in.block[:], p))
}
