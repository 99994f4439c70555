package http2

// Stream is a request and its response, RFC 9113 section 5. It is over once both have ended and
// all content that was received is Consumed, or with Reset, of either side. It must not be used
// afterwards: the next stream has its memory.
type Stream struct {
	// Owner is the handler's. It is not cleared for the next stream.
	Owner any

	c    *Conn
	id   uint32
	over bool
	// remoteEnd and localEnd are set once the request and the response have ended.
	remoteEnd, localEnd bool
	// headed is set once the final header section of the response is in the output.
	headed bool
	// tunnel is set for CONNECT: there are no trailers, RFC 9113 section 8.5.
	tunnel bool
	// waiting is set while Data took less than it was given.
	waiting bool
	queued  bool // in Conn.ready

	recvWindow int   // what the peer may send yet
	owed       int   // what was consumed and not yet told
	unconsumed int   // what the handler has and did not consume
	sendWindow int64 // negative after a change of SETTINGS, RFC 9113 section 6.9.2
	length     int64 // content-length, -1 without one
	received   int64 // content

	prev, next *Stream // in Conn.ready
}

// ID returns the number of the stream.
func (s *Stream) ID() uint32 { return s.id }

// open makes the stream of a new request.
func (c *Conn) open(id uint32) *Stream {
	s := c.table.unused()
	*s = Stream{
		Owner: s.Owner, c: c, id: id,
		recvWindow: int(c.cfg.StreamWindow), sendWindow: c.peerWindow, length: -1,
	}
	c.table.open = append(c.table.open, s)
	c.accepted = id
	return s
}

// end takes a stream off the connection. Content that is not consumed is given back to the
// connection's window.
func (c *Conn) end(s *Stream, how ending) {
	s.over = true
	c.ready.remove(s)
	c.table.remove(s, how)
	if s.unconsumed > 0 {
		c.credit(s.unconsumed)
	}
}

// settle ends a stream with which both sides and the handler are done.
func (c *Conn) settle(s *Stream) {
	if s.over || !s.remoteEnd || !s.localEnd || s.unconsumed > 0 {
		return
	}
	c.end(s, closedAtEnd)
	c.finished()
}

// Reset ends the stream: the peer is told, unless it was told that it ended well. The handler is
// not.
func (s *Stream) Reset(code ErrCode) {
	if s.over {
		return
	}
	if s.remoteEnd && s.localEnd {
		s.c.end(s, closedAtEnd)
		return
	}
	s.c.out = appendRSTStream(s.c.out, s.id, code)
	s.c.end(s, closedByUs)
}

// streamError resets a stream because of what the peer did, RFC 9113 section 5.4.2.
func (c *Conn) streamError(s *Stream, code ErrCode) *Error {
	s.Reset(code)
	c.handler.Reset(s, code)
	return c.provoked()
}

// refuse resets a stream that the handler never saw.
func (c *Conn) refuse(id uint32, code ErrCode) *Error {
	c.out = appendRSTStream(c.out, id, code)
	c.table.remember(id, closedByUs)
	return c.provoked()
}

// lateFrame is about DATA or HEADERS after the end of the request, RFC 9113 section 5.1. s is nil
// if the stream is over.
func (c *Conn) lateFrame(f frameHead, s *Stream) *Error {
	if s != nil && !s.localEnd {
		return c.streamError(s, StreamClosed)
	}
	how := closedAtEnd
	if s == nil {
		how = c.table.closed(f.id)
	}
	switch {
	case how == closedByUs:
		return c.glitch()
	case how == closedByPeer:
		return c.refuse(f.id, StreamClosed)
	case how == closedAtEnd:
		return &Error{StreamClosed, "frame on a stream that has ended"}
	case f.kind == frameHeaders:
		return protocol("HEADERS on a stream of a lower number")
	}
	return c.glitch()
}
