package l7

import (
	"errors"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// stream is one end of a connection with the bytes read from it and not used yet:
// buf[r:w]. It has no buffer while nothing is buffered.
//
// On a plain socket a read borrows its buffer only when the kernel has bytes, so that idle
// connections hold none.
type stream struct {
	conn net.Conn
	tcp  *net.TCPConn    // conn, if it is a plain socket
	raw  syscall.RawConn // of tcp
	buf  []byte
	r, w int

	// The rest is what try and look read and write. They are bound once, for a closure would
	// be allocated each time.
	try     func(fd uintptr) bool
	want    wanted
	got     []byte
	n       int
	readErr error
	look    func(fd uintptr)
	quiet   bool
}

// wanted says which part of which buffer a read may fill.
type wanted struct {
	small     bool
	from, max int
}

// attach makes s the stream of a connection.
func (s *stream) attach(conn net.Conn) {
	s.conn = conn
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	s.tcp, s.raw = tcp, raw
	s.try = s.tryRead
}

// buffered returns the bytes read and not used yet.
func (s *stream) buffered() []byte { return s.buf[s.r:s.w] }

// skip uses n buffered bytes.
func (s *stream) skip(n int) { s.r += n }

// release gives the buffer back if nothing is in it.
func (s *stream) release() {
	if s.r == s.w && s.buf != nil {
		giveBack(s.buf)
		s.buf, s.r, s.w = nil, 0, 0
	}
}

// compact moves what is buffered to the front; offsets into the buffer become invalid.
func (s *stream) compact() {
	if s.r > 0 {
		s.w = copy(s.buf, s.buf[s.r:s.w])
		s.r = 0
	}
}

// fill reads more bytes behind those buffered. It may move them all, but keeps their order:
// s.r stays the offset of the first.
func (s *stream) fill() error {
	if s.buf == nil {
		buf, n, err := s.read(wanted{small: true, max: smallSize})
		if n > 0 {
			s.buf, s.r, s.w = buf, 0, n
			return nil
		}
		return err
	}
	if s.w == len(s.buf) {
		if err := s.grow(); err != nil {
			return err
		}
	}
	n, err := s.conn.Read(s.buf[s.w:])
	s.w += n
	if n > 0 {
		return nil
	}
	return err
}

func (s *stream) grow() error {
	if s.r > 0 {
		s.compact()
		return nil
	}
	if len(s.buf) >= largeSize {
		return errors.New("more than a head is buffered")
	}
	b := borrowLarge()
	copy(b, s.buf[:s.w])
	giveBack(s.buf)
	s.buf = b
	return nil
}

// unread puts bytes back behind those buffered. What lies before s.r is not overwritten: it may
// be a head that is still in use.
func (s *stream) unread(p []byte) {
	if len(p) == 0 {
		return
	}
	if s.buf == nil {
		s.buf = borrowLarge()
	}
	if s.w+len(p) > len(s.buf) {
		b := make([]byte, s.w-s.r+len(p)+smallSize)
		s.w, s.r = copy(b, s.buffered()), 0
		s.buf = b
	}
	s.w += copy(s.buf[s.w:], p)
}

// read borrows a buffer and reads up to want.max bytes to its offset want.from. The caller gives
// the buffer back; it is nil if n is 0. An n above 0 comes without error.
func (s *stream) read(want wanted) (buf []byte, n int, err error) {
	if s.raw == nil {
		return s.readPlain(want)
	}
	s.want, s.got, s.n, s.readErr = want, nil, 0, nil
	err = s.raw.Read(s.try)
	buf, n = s.got, s.n
	s.got = nil
	switch {
	case n > 0:
		return buf, n, nil
	case err != nil:
		return nil, 0, err
	case s.readErr != nil:
		return nil, 0, s.readErr
	}
	return nil, 0, io.EOF
}

func (s *stream) readPlain(want wanted) ([]byte, int, error) {
	buf := want.borrow()
	n, err := s.conn.Read(buf[want.from : want.from+want.max])
	if n > 0 {
		return buf, n, nil
	}
	giveBack(buf)
	return nil, 0, err
}

func (w wanted) borrow() []byte {
	if w.small {
		return borrowSmall()
	}
	return borrowLarge()
}

// tryRead reads from a socket that does not block; false means wait until it is readable.
func (s *stream) tryRead(fd uintptr) bool {
	buf := s.want.borrow()
	for {
		n, err := unix.Read(int(fd), buf[s.want.from:s.want.from+s.want.max])
		switch {
		case err == unix.EINTR:
			continue
		case n > 0:
			s.got, s.n = buf, n
			return true
		case err == unix.EAGAIN:
			giveBack(buf)
			return false
		case err != nil:
			s.readErr = err
		}
		giveBack(buf)
		return true
	}
}

// alive tells whether an unused connection can still be used: the peer has neither closed it
// nor sent anything unasked. Connections that are not sockets are believed to be.
func (s *stream) alive() bool {
	if s.raw == nil {
		return true
	}
	if s.look == nil {
		s.look = s.lookQuiet
	}
	s.quiet = false
	return s.raw.Control(s.look) == nil && s.quiet
}

// lookQuiet asks whether nothing can be read, not even the end.
func (s *stream) lookQuiet(fd uintptr) {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}}
	n, err := unix.Poll(fds[:], 0)
	s.quiet = n == 0 && err == nil
}

// closeWrite ends our direction of the connection.
func (s *stream) closeWrite() error {
	if c, ok := s.conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return s.conn.Close()
}

// reset closes the connection so that the peer sees an error and not a proper end.
func (s *stream) reset() {
	if s.tcp != nil {
		_ = s.tcp.SetLinger(0)
	}
	_ = s.conn.Close()
}
