package http2

import "encoding/binary"

// Consumed says that the handler is done with n bytes of the content that Data gave it: the peer
// may send as many more. It is told once half a window is free.
func (s *Stream) Consumed(n int) {
	if s.over {
		return
	}
	n = min(n, s.unconsumed)
	s.unconsumed -= n
	s.c.credit(n)
	s.credit(n)
	s.c.settle(s)
}

// credit gives n bytes back to the stream's window.
func (s *Stream) credit(n int) {
	if s.remoteEnd {
		return
	}
	if s.owed += n; s.owed < int(s.c.cfg.StreamWindow)/2 {
		return
	}
	s.c.out = appendWindowUpdate(s.c.out, s.id, s.owed)
	s.recvWindow += s.owed
	s.owed = 0
}

// credit gives n bytes back to the connection's window.
func (c *Conn) credit(n int) {
	if c.owed += n; c.owed < int(c.cfg.ConnWindow)/2 || c.err != nil {
		return
	}
	c.out = appendWindowUpdate(c.out, 0, c.owed)
	c.recvWindow += c.owed
	c.owed = 0
}

// windowUpdate takes a WINDOW_UPDATE frame, RFC 9113 section 6.9.
func (c *Conn) windowUpdate(f frameHead, p []byte) *Error {
	if len(p) != 4 {
		return frameSize("WINDOW_UPDATE is not of 4 bytes")
	}
	n := int64(binary.BigEndian.Uint32(p) &^ (1 << 31))
	if err := c.glitch(); err != nil {
		return err
	}
	if f.id != 0 {
		return c.streamWindow(f.id, n)
	}
	if n == 0 {
		return protocol("WINDOW_UPDATE by nothing")
	}
	if c.sendWindow += n; c.sendWindow > maxWindow {
		return &Error{FlowControlError, "connection's window larger than 2^31-1"}
	}
	c.serve()
	return nil
}

func (c *Conn) streamWindow(id uint32, n int64) *Error {
	if c.table.idle(id) {
		return protocol("WINDOW_UPDATE on an idle stream")
	}
	s := c.table.find(id)
	switch {
	case s == nil:
		return nil
	case n == 0:
		return c.streamError(s, ProtocolError)
	}
	if s.sendWindow += n; s.sendWindow > maxWindow {
		return c.streamError(s, FlowControlError)
	}
	c.await(s)
	c.serve()
	return nil
}
