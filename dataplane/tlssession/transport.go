package tlssession

import (
	"errors"
	"net"
	"time"
)

// more is a net.Error with Temporary, for which crypto/tls keeps its state.
type more struct{}

func (more) Error() string   { return "tlssession: no whole record yet" }
func (more) Timeout() bool   { return false }
func (more) Temporary() bool { return true }

// ErrMore is returned where a session can go on only after another Feed, or after Wake.
var ErrMore error = more{}

// errCut stands for the end of the peer's stream. It is not io.ErrUnexpectedEOF, which crypto/tls
// turns into io.EOF between records, as if close_notify had come.
var errCut = errors.New("tlssession: the stream ended")

// transport is a Session as crypto/tls sees it.
type transport Session

var _ net.Conn = (*transport)(nil)

// Read gives out bytes of one whole record. Without one it parks the handshake, or says ErrMore.
func (t *transport) Read(p []byte) (int, error) {
	if h := t.handshake; h != nil {
		return h.read(p)
	}
	n, err := t.in.read(p)
	switch {
	case n > 0 || err != nil:
		return n, err
	case t.in.eof:
		return 0, errCut
	}
	return 0, ErrMore
}

// Write queues one or more whole records.
func (t *transport) Write(p []byte) (int, error) {
	switch h := t.handshake; {
	case h != nil:
		if err := h.write(p); err != nil {
			return 0, err
		}
	case t.writing:
		t.out.append(p)
	default:
		if err := t.out.answer(p); err != nil {
			t.readErr = err
			return 0, err
		}
	}
	return len(p), nil
}

// address is that of no socket; crypto/tls asks for its text.
type address struct{}

func (address) Network() string { return "tls" }
func (address) String() string  { return "" }

func (t *transport) Close() error                     { return nil }
func (t *transport) LocalAddr() net.Addr              { return address{} }
func (t *transport) RemoteAddr() net.Addr             { return address{} }
func (t *transport) SetDeadline(time.Time) error      { return nil }
func (t *transport) SetReadDeadline(time.Time) error  { return nil }
func (t *transport) SetWriteDeadline(time.Time) error { return nil }
