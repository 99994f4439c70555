package stream

import (
	"io"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/nonblock"
)

// ErrAgain says that nothing can be read or written now; the owner is told when it can.
var ErrAgain error = unix.EAGAIN

// Owner is told about its streams, on the loop.
type Owner interface {
	// Ready says that reading or writing may go on, or, by eventloop.Closing, that the stream must end. Failed
	// says that the connection is broken in both directions.
	Ready(s *Stream, events eventloop.Events)
}

// Stream is one connection. It lies in its owner; the zero value is closed. Its methods are for its loop only.
type Stream struct {
	loop   *eventloop.Loop
	source eventloop.Source
	owner  Owner
	secure *secure // nil: clear

	readable bool // reading may give something
	hup      bool // the end has come: a short read is not the last one
	ended    bool // the end was read
	full     bool // nothing can be written until Writable
	ending   bool // our direction ends as soon as what waits has left
	shut     bool // our direction has ended
}

var (
	_ eventloop.Handler = (*Stream)(nil)
	_ eventloop.Task    = (*Stream)(nil)
)

// Accept takes an accepted connection. The kernel is not asked to watch it before reading had to wait, which
// spares the system call for connections that end after one request.
func (s *Stream) Accept(l *eventloop.Loop, fd int, o Owner) error {
	*s = Stream{loop: l, owner: o, readable: true}
	return l.Add(&s.source, fd, s, 0)
}

// Connecting takes a connection that is being made: the first Ready with Writable or Failed says what became of it,
// see Connected.
func (s *Stream) Connecting(l *eventloop.Loop, fd int, o Owner) error {
	*s = Stream{loop: l, owner: o, full: true}
	return l.Add(&s.source, fd, s, eventloop.Readable|eventloop.Writable)
}

// Connected tells what became of a connect: nil: made, ErrAgain: it goes on.
func (s *Stream) Connected() error {
	cause, failed := nonblock.GetError(s.source.FD())
	switch {
	case failed != nil:
		return failed
	case cause != nil:
		return cause
	case s.full:
		return ErrAgain
	}
	return nil
}

// Preface sends p, at most a few hundred bytes, ahead of everything else and in clear, over a connection that has just
// been made.
func (s *Stream) Preface(p []byte) error { return nonblock.SendWhole(s.source.FD(), p) }

// Ends are the addresses of the connection; zero AddrPorts if it is gone.
func (s *Stream) Ends() (peer, local netip.AddrPort) {
	peer, _ = nonblock.Peer(s.source.FD())
	local, _ = nonblock.Local(s.source.FD())
	return peer, local
}

// Open says whether the stream is open.
func (s *Stream) Open() bool { return s.source.Active() }

// Clear says whether bytes pass as they are, so that Fill and Drain can be used.
func (s *Stream) Clear() bool { return s.secure == nil }

// Ended says whether the peer's end was read.
func (s *Stream) Ended() bool { return s.ended }

// Ready is for the loop.
func (s *Stream) Ready(events eventloop.Events) {
	const end = eventloop.Ended | eventloop.Gone | eventloop.Failed
	if events&end != 0 {
		s.hup = true
	}
	if events&(eventloop.Readable|end) != 0 {
		s.readable = true
	}
	if events&(eventloop.Writable|end) != 0 {
		s.full = false
	}
	s.owner.Ready(s, events)
}

// Again has the owner told eventloop.Again in the next turn.
func (s *Stream) Again() { s.loop.Again(&s.source) }

// Run is for the loop: a handshake goes on.
func (s *Stream) Run(*eventloop.Loop) {
	if s.source.Active() {
		s.Again()
	}
}

// Read reads into p, which is not empty. io.EOF is the proper end, in TLS close_notify.
func (s *Stream) Read(p []byte) (int, error) {
	if s.secure != nil {
		return s.readSecure(p)
	}
	return s.receive(p)
}

func (s *Stream) receive(p []byte) (int, error) {
	if err := s.may(); err != nil {
		return 0, err
	}
	n, err := nonblock.Recv(s.source.FD(), p, 0)
	return n, s.received(n, len(p), err)
}

// may says whether the socket should be asked; if not, it is watched from now on.
func (s *Stream) may() error {
	switch {
	case s.ended:
		return io.EOF
	case s.readable:
		return nil
	}
	return s.await()
}

func (s *Stream) await() error {
	s.readable = false
	if err := s.loop.Expect(&s.source, eventloop.Readable); err != nil {
		return err
	}
	return ErrAgain
}

// received notes what a read of at most most bytes gave.
func (s *Stream) received(n, most int, err error) error {
	switch {
	case err == unix.EAGAIN:
		return s.await()
	case err != nil:
		return err
	case n == 0:
		s.ended = true
		return io.EOF
	case n < most && !s.hup:
		s.readable = false
	}
	return nil
}

// Watch has the owner told of what comes, and of a connection that breaks, though nobody waits to read.
func (s *Stream) Watch() error { return s.loop.Expect(&s.source, eventloop.Readable) }

// Await has the owner told when something has come, whatever was there before.
func (s *Stream) Await() error {
	if err := s.await(); err != ErrAgain {
		return err
	}
	return nil
}

// Waits says that nothing has come since Await.
func (s *Stream) Waits() bool { return !s.readable }

// Lasts says whether the peer has neither ended the connection nor sent what was not read, as far as it has been
// told; it is asked only where that is not known.
func (s *Stream) Lasts() bool { return !s.hup && !s.ended && (!s.readable || s.Quiet()) }

// Quiet says whether an unused connection can still be used: the peer has neither ended it nor sent anything.
func (s *Stream) Quiet() bool {
	var b [1]byte
	_, err := nonblock.Recv(s.source.FD(), b[:], unix.MSG_PEEK)
	return err == unix.EAGAIN
}

// Write writes some of p, which is not empty. In TLS bytes that were taken may wait for more: call Flush after the last.
func (s *Stream) Write(p []byte) (int, error) {
	if s.secure != nil {
		return s.writeSecure(p)
	}
	return s.send(p)
}

func (s *Stream) send(p []byte) (int, error) {
	if s.full {
		return 0, ErrAgain
	}
	n, err := nonblock.Send(s.source.FD(), p, 0)
	return n, s.sent(err)
}

func (s *Stream) sent(err error) error {
	if err != unix.EAGAIN {
		return err
	}
	s.full = true
	if err := s.loop.Expect(&s.source, eventloop.Readable|eventloop.Writable); err != nil {
		return err
	}
	return ErrAgain
}

// Flush sends what waits; nil: nothing does any more.
func (s *Stream) Flush() error {
	if s.secure != nil {
		if err := s.flushSecure(); err != nil {
			return err
		}
	}
	if s.ending && !s.shut {
		s.shut = true
		return nonblock.Shutdown(s.source.FD(), unix.SHUT_WR)
	}
	return nil
}

// CloseWrite ends our direction, after what waits. What is left to wait is sent by Flush.
func (s *Stream) CloseWrite() error {
	if s.ending {
		return nil
	}
	s.ending = true
	if s.secure != nil {
		s.secure.session.CloseNotify()
	}
	if err := s.Flush(); err != ErrAgain {
		return err
	}
	return nil
}

// Close closes the connection and forgets what waits; a stream that is closed stays so.
func (s *Stream) Close() { s.close(false) }

// Reset closes the connection so that the peer sees an error and no proper end.
func (s *Stream) Reset() { s.close(true) }

func (s *Stream) close(reset bool) {
	if !s.source.Active() {
		return
	}
	if s.secure != nil {
		s.closeSecure(reset)
	}
	if reset {
		_ = nonblock.SetReset(s.source.FD())
	}
	s.loop.Close(&s.source)
}

// Fill moves at most most bytes from a clear stream into an empty pipe.
func (s *Stream) Fill(p *eventloop.Pipe, most int) (int, error) {
	if err := s.may(); err != nil {
		return 0, err
	}
	n, err := p.FillMost(s.source.FD(), most)
	if err = s.received(n, 0, err); err != nil {
		return n, err
	}
	return n, nil
}

// Drain moves bytes from a pipe, which is not empty, to a clear stream.
func (s *Stream) Drain(p *eventloop.Pipe) (int, error) {
	if s.full {
		return 0, ErrAgain
	}
	n, err := p.Drain(s.source.FD())
	return n, s.sent(err)
}
