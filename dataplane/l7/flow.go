package l7

import (
	"errors"
	"slices"

	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/http1"
	"github.com/truepacs/balancer/dataplane/stream"
)

const (
	// margin is kept free in a block before and after content, for framing.
	margin = http1.ChunkOverhead
	// pieceSize is how much content a block takes.
	pieceSize = eventloop.BlockSize - 2*margin
	// few is how many bytes a splice must move to be worth more than copying.
	few = 8 << 10
)

// source gives the content of a message.
type source interface {
	// read fills p, which is not empty, with content; done says that it was the last. ErrAgain: none has come.
	read(p []byte) (n int, done bool, err error)
	// inline appends what of the content has come already, at most most bytes of it, chunked or as it is.
	inline(dst []byte, most int, chunked bool) (out []byte, n int, done bool, err error)
	// trailers are the field lines after the content, once it is done.
	trailers() []byte
	// direct is the stream whose next bytes are content as they are, and how many; nil: there is none.
	direct() (*stream.Stream, int64)
	// took says what a read from it gave.
	took(n int, err error) (done bool, failed error)
	// again has the flow go on in the next turn.
	again()
}

// sink takes the content of a message.
type sink interface {
	// frame makes n bytes of content, which lie in block behind a margin, ready to be written.
	frame(block []byte, n int, done bool, trailers []byte) []byte
	// write takes some of p, which is not empty; last: the message ends with it. ErrAgain: nothing can be taken now.
	write(p []byte, last bool) (int, error)
	// drain takes content from a pipe, which is not empty, if direct.
	drain(p *eventloop.Pipe) (int, error)
	// finish says that the content is complete, as often as that is found.
	finish(trailers []byte) error
	// flush sends what write collected; nil: nothing waits any more.
	flush() error
	// closeWrite ends the direction, after what waits.
	closeWrite() error
	// direct says whether content goes there as it is.
	direct() bool
}

// sourceError and sinkError say which side of a flow failed.
type (
	sourceError struct{ err error }
	sinkError   struct{ err error }
)

// Error implements error.
func (e *sourceError) Error() string { return "read: " + e.err.Error() }

// Unwrap returns the cause.
func (e *sourceError) Unwrap() error { return e.err }

// Error implements error.
func (e *sinkError) Error() string { return "write: " + e.err.Error() }

// Unwrap returns the cause.
func (e *sinkError) Unwrap() error { return e.err }

// isSource tells whether a flow failed for its source.
func isSource(err error) bool {
	var s *sourceError
	return errors.As(err, &s)
}

// flow carries one message from a source to a sink. It holds at most one block or one pipe; while the sink takes
// nothing, nothing is read.
type flow struct {
	from     source // nil: there is nothing beside what is held
	to       sink
	block    *eventloop.Block
	held     []byte // to be sent
	pipe     *eventloop.Pipe
	trailers []byte // field lines behind the content
	moved    int64  // bytes of content taken from the source
	taken    bool   // the source has given all
	over     bool   // and the sink has taken it
	bulk     bool   // so much comes that splicing pays
}

// begin makes the flow ready; what it holds stays.
func (f *flow) begin(from source, to sink) {
	*f = flow{from: from, to: to, block: f.block, held: f.held, taken: from == nil}
}

// buffer returns an empty buffer to append to, for hold.
func (f *flow) buffer(l *eventloop.Loop) []byte {
	if f.block == nil {
		f.block = l.TakeBlock()
	}
	return f.block[:0]
}

// hold has p sent before anything else: nothing is held. It was appended to buffer.
func (f *flow) hold(p []byte) { f.held = p }

// drop forgets what is held.
func (f *flow) drop(l *eventloop.Loop) {
	if f.block != nil {
		l.GiveBlock(f.block)
	}
	if f.pipe != nil {
		l.GivePipe(f.pipe)
	}
	f.block, f.pipe, f.held = nil, nil, nil
}

// holds says whether something waits to be sent.
func (f *flow) holds() bool { return len(f.held) > 0 || f.pipe != nil }

// flush sends what is held, to the last byte; ErrAgain: the sink does not take it all now.
func (f *flow) flush(c *client) error {
	if err := f.send(c); err != nil {
		return err
	}
	return f.to.flush()
}

// send is flush, but for what the sink may collect.
func (f *flow) send(c *client) error {
	for len(f.held) > 0 {
		n, err := f.to.write(f.held, f.taken && len(f.trailers) == 0)
		if err != nil {
			return err
		}
		f.held = f.held[n:]
		c.touch()
	}
	for f.pipe != nil && f.pipe.Held() > 0 {
		if _, err := f.to.drain(f.pipe); err != nil {
			return err
		}
		c.touch()
	}
	f.drop(c.w.loop)
	if !f.taken {
		return nil
	}
	return f.to.finish(f.trailers)
}

// took notes what the source has given; done: it was the last.
func (f *flow) took(n int, done bool) {
	f.moved += int64(n)
	if done {
		f.taken, f.trailers = true, slices.Clone(f.from.trailers()) // the source may be gone before they are sent
	}
}

// pump carries what it can; over says when all is done.
func (f *flow) pump(c *client) error {
	if f.over {
		return nil
	}
	if err := f.carry(c); err != nil {
		return err
	}
	switch err := f.to.flush(); err {
	case nil:
		f.over = f.taken && !f.holds()
	case stream.ErrAgain:
	default:
		return &sinkError{err}
	}
	return nil
}

// carry takes from the source and gives to the sink until one of them can do no more.
func (f *flow) carry(c *client) error {
	for budget := c.w.loop.TurnBytes(); ; {
		if err := f.send(c); err == stream.ErrAgain {
			return nil
		} else if err != nil {
			return &sinkError{err}
		}
		switch {
		case f.taken:
			return nil
		case budget <= 0:
			f.from.again()
			return nil
		}
		n, err := f.take(c.w.loop)
		if err == stream.ErrAgain {
			f.drop(c.w.loop)
			return nil
		} else if err != nil {
			return &sourceError{err}
		}
		c.touch()
		budget -= max(n, 1)
	}
}

// take takes bytes from the source; nothing is held.
func (f *flow) take(l *eventloop.Loop) (int, error) {
	if f.bulk {
		if from, left := f.from.direct(); from != nil {
			if f.pipe = l.TakePipe(); f.pipe != nil {
				return f.splice(from, left)
			}
		}
	}
	b := f.buffer(l)[:eventloop.BlockSize]
	n, done, err := f.from.read(b[margin : margin+pieceSize])
	if err != nil {
		return n, err
	}
	f.took(n, done)
	f.bulk = n >= pieceSize && f.to.direct()
	if n > 0 || done {
		f.held = f.to.frame(b, n, done, f.trailers)
	}
	return n, nil
}

func (f *flow) splice(from *stream.Stream, left int64) (n int, err error) {
	n, err = from.Fill(f.pipe, int(min(left, 1<<30)))
	if err == stream.ErrAgain {
		return 0, err
	}
	f.bulk = n >= few
	done, err := f.from.took(n, err)
	f.took(n, done)
	return n, err
}
