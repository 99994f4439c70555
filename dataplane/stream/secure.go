package stream

import (
	"io"

	"github.com/truepacs/balancer/dataplane/tlssession"
)

const (
	// scratchSize is how much ciphertext is taken from a socket at once: some records, so that those cut off at its
	// end, which have to be copied, are few.
	scratchSize = 64 << 10
	// gather is how much ciphertext is collected before it is sent without having been asked for.
	gather = 32 << 10
)

// Shared is what the TLS streams of one loop share.
type Shared struct {
	sessions *tlssession.Loop
	// scratch takes ciphertext from a socket. The session of user may refer to it, until another needs it.
	scratch [scratchSize]byte
	user    *secure
}

// NewShared makes the shared part of a loop's streams.
func NewShared() *Shared {
	return &Shared{sessions: tlssession.NewLoop(&buffers{})}
}

// Close ends it, once the loop has ended and all streams are closed.
func (s *Shared) Close() { s.sessions.Close() }

// secure is the TLS of a stream.
type secure struct {
	shared  *Shared
	session *tlssession.Session
	eof     bool // the session knows that the peer's bytes have ended
}

// waker has the loop go on with a handshake that worked aside.
type waker struct{ stream *Stream }

func (w waker) Wake() { w.stream.loop.Post(w.stream) }

// Secure begins TLS as the side that answers. Call Handshake until it is over.
func (s *Stream) Secure(shared *Shared, config *tlssession.Config) {
	s.secure = &secure{shared: shared, session: tlssession.Server(shared.sessions, waker{s}, config)}
}

// Handshake goes on with the handshake: nil: it is over, or there is none.
func (s *Stream) Handshake() error {
	if s.secure == nil {
		return nil
	}
	t := s.secure.session
	for {
		err := t.Handshake()
		if flushed := s.flushSecure(); err == nil && flushed != nil && flushed != ErrAgain {
			err = flushed
		}
		if err != tlssession.ErrMore {
			return err
		}
		if err := s.feed(); err != nil {
			return err
		}
	}
}

// Protocol is what the peers agreed on by ALPN, once the handshake is over; empty: nothing.
func (s *Stream) Protocol() string {
	if s.secure == nil {
		return ""
	}
	return s.secure.session.Protocol()
}

// feed gives the session more ciphertext. ErrAgain: there is none, or the session has as much as it takes.
func (s *Stream) feed() error {
	x := s.secure
	room := min(len(x.shared.scratch), x.session.Room())
	if room == 0 || x.eof {
		return ErrAgain
	}
	if before := x.shared.user; before != nil && before != x {
		before.session.Keep()
	}
	x.shared.user = x
	n, err := s.receive(x.shared.scratch[:room])
	if err == io.EOF {
		x.eof = true
		x.session.FeedEOF()
		return nil
	}
	if err != nil {
		return err
	}
	return x.session.Feed(x.shared.scratch[:n])
}

func (s *Stream) readSecure(p []byte) (int, error) {
	t := s.secure.session
	for {
		n, err := t.Read(p)
		if n > 0 {
			return n, s.answer(nil)
		}
		if err != nil && err != tlssession.ErrMore {
			s.ended = s.ended || err == io.EOF
			return 0, s.answer(err)
		}
		if err := s.feed(); err != nil {
			return 0, s.answer(err)
		}
	}
}

// answer sends what the session says by itself; err is what Read would return.
func (s *Stream) answer(err error) error {
	if flushed := s.flushSecure(); err == nil && flushed != nil && flushed != ErrAgain {
		return flushed
	}
	return err
}

func (s *Stream) writeSecure(p []byte) (int, error) {
	if len(s.secure.session.Output()) >= gather {
		if err := s.flushSecure(); err != nil {
			return 0, err
		}
	}
	return s.secure.session.Write(p)
}

func (s *Stream) flushSecure() error {
	t := s.secure.session
	for out := t.Output(); len(out) > 0; out = t.Output() {
		n, err := s.send(out)
		if err != nil {
			return err
		}
		t.Sent(n)
	}
	return nil
}

func (s *Stream) closeSecure(reset bool) {
	if !reset {
		s.secure.session.CloseNotify()
		_ = s.flushSecure()
	}
	s.secure.session.Close()
	if s.secure.shared.user == s.secure {
		s.secure.shared.user = nil
	}
}
