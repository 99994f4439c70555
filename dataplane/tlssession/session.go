package tlssession

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
)

// ErrClosed is returned by every use of a session after Close.
var ErrClosed = errors.New("tlssession: the session was closed")

// Waker is the owner's half of a session. Wake asks for another Handshake from the loop: it is
// called from any goroutine and must post, not act. Once, it may come after Close.
type Waker interface {
	Wake()
}

// Session is one side of a TLS connection. It is not safe for concurrent use.
type Session struct {
	loop      *Loop
	conn      *tls.Conn
	handshake *handshake // nil once it is over
	in        input
	out       output
	err       error // the handshake failed, or Close was called: the session is over
	readErr   error // nothing can be read any more
	more      bool  // crypto/tls may hold plaintext
	writing   bool
}

// Server makes the side that answers. w is needed for configurations with RSA keys or callbacks.
func Server(l *Loop, w Waker, c *Config) *Session {
	return newSession(l, w, c, tls.Server)
}

// Client makes the side that begins: call Handshake before anything is fed.
func Client(l *Loop, w Waker, c *Config) *Session {
	s := newSession(l, w, c, tls.Client)
	s.handshake.first = true
	return s
}

func newSession(l *Loop, w Waker, c *Config, side func(net.Conn, *tls.Config) *tls.Conn) *Session {
	s := &Session{loop: l, in: input{buffers: l.buffers}, out: output{buffers: l.buffers}}
	s.conn = side((*transport)(s), c.tls)
	s.handshake = newHandshake(s, w, c.mayBlock)
	return s
}

// Room is how many bytes Feed takes now. 0 means that bytes should stay in the socket until Read
// or Handshake has used some of those that wait.
func (s *Session) Room() int { return s.in.room() }

// Feed takes ciphertext in any pieces, at most Room bytes. p stays lent until Keep or ErrMore. Its
// error is what is wrong with a record's header and ends the session; after Read's last word
// bytes are ignored.
func (s *Session) Feed(p []byte) error {
	if s.err != nil {
		return s.err
	}
	if s.readOver() {
		return nil
	}
	err := s.in.feed(p)
	if err != nil {
		s.failReading(err)
		if s.handshake != nil {
			s.fail(err)
		}
	}
	return err
}

func (s *Session) readOver() bool { return s.readErr != nil }

// FeedEOF says that the peer's stream is over. Read and Handshake tell whether it was cut.
func (s *Session) FeedEOF() { s.in.eof = true }

// Keep copies what is lent into a buffer of the session's own: call it before the memory given to
// Feed is used for something else, unless Read or Handshake said ErrMore.
func (s *Session) Keep() { s.in.keep() }

// Protocol is what was agreed on by ALPN (RFC 7301); empty: nothing, or the handshake is not over.
func (s *Session) Protocol() string {
	if s.handshake != nil {
		return ""
	}
	return s.conn.ConnectionState().NegotiatedProtocol
}

// Readable tells whether Read could do something without another Feed.
func (s *Session) Readable() bool {
	if s.err != nil || s.handshake != nil || s.readErr != nil {
		return false
	}
	n, err := s.in.whole()
	return s.more || s.in.eof || n > 0 || err != nil
}

// Read returns plaintext. ErrMore asks for another Feed; io.EOF is the peer's close_notify, Write
// may go on; an *Error with Reason Truncated says that the stream ended without one.
func (s *Session) Read(p []byte) (int, error) {
	switch {
	case s.err != nil:
		return 0, s.err
	case s.readErr != nil:
		return 0, s.readErr
	case s.handshake != nil:
		return 0, ErrMore
	case len(p) == 0:
		return 0, nil
	case !s.Readable(): // crypto/tls would say the same and allocate for it
		s.in.keep()
		return 0, ErrMore
	}
	n, err := s.conn.Read(p)
	s.more = n == len(p)
	switch {
	case s.readErr != nil: // the transport's
		s.in.drop()
		err = s.readErr
	case err == nil:
	case err == ErrMore:
		s.in.keep()
	case err == io.EOF:
		s.failReading(io.EOF)
	case err == errCut:
		err = &Error{Reason: Truncated}
		s.failReading(err)
	default:
		err = explain(err)
		s.failReading(err)
	}
	return n, err
}

// failReading ends reading; what waits is of no use any more.
func (s *Session) failReading(err error) {
	s.readErr, s.more = err, false
	s.in.drop()
}

// Write appends the ciphertext of p to Output, in records of 16 KiB. The owner bounds what waits
// there by not calling it. ErrMore: the handshake is not over.
func (s *Session) Write(p []byte) (int, error) {
	switch {
	case s.err != nil:
		return 0, s.err
	case s.handshake != nil:
		return 0, ErrMore
	}
	s.out.reserve(len(p) + (len(p)/maxPlaintext+1)*recordOverhead)
	s.writing = true
	n, err := s.conn.Write(p)
	s.writing = false
	if err != nil {
		return n, explain(err)
	}
	return n, nil
}

// Output is the ciphertext to send, valid until the session's next use. It may hold an alert after
// an error, and answers to the peer after Read.
func (s *Session) Output() []byte { return s.out.buf[s.out.off:] }

// Sent says that n bytes of Output are on their way.
func (s *Session) Sent(n int) { s.out.sent(n) }

// CloseNotify ends our direction: it appends close_notify to Output, once. Without a finished
// handshake it does nothing.
func (s *Session) CloseNotify() {
	if s.err == nil && s.handshake == nil {
		s.writing = true
		_ = s.conn.CloseWrite() // fails only if an alert ended our direction before
		s.writing = false
	}
}

// ConnectionState describes the session; the zero value until the handshake is over.
func (s *Session) ConnectionState() tls.ConnectionState {
	if s.handshake != nil || s.err != nil { // crypto/tls would wait for the handshake
		return tls.ConnectionState{}
	}
	return s.conn.ConnectionState()
}

// Close ends the session in any state and gives back what it borrowed; a pending handshake is
// aborted. Nothing is sent: call CloseNotify and send Output before.
func (s *Session) Close() {
	if s.err != ErrClosed {
		s.fail(ErrClosed)
		s.out.drop()
	}
}

// fail ends the session; what waits in Output may still be sent.
func (s *Session) fail(err error) {
	s.err, s.more = err, false
	if h := s.handshake; h != nil {
		h.abort() // s.handshake stays: a goroutine may still look at it
	}
	s.in.drop()
}
