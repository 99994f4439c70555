package http2

// Fields returns the writer for a header or trailer section, emptied. There is one for the
// connection: use it for Respond or Trailers before anything else is called.
func (c *Conn) Fields() *FieldWriter {
	c.fields.Reset()
	return &c.fields
}

// Fields is that of the connection.
func (s *Stream) Fields() *FieldWriter { return s.c.Fields() }

// Respond sends a header section; w may be nil. Interim responses (1xx, not 101) may come before
// the final one, end is the final one's only.
func (s *Stream) Respond(status int, w *FieldWriter, end bool) {
	if s.over || s.headed {
		return
	}
	c, final := s.c, status >= 200
	end = end && final
	var prefix [8]byte
	head := prefix[:0]
	if !c.tableDropped {
		c.tableDropped = true
		head = append(head, tableEmpty)
	}
	c.appendBlock(s.id, appendStatus(head, status), w, end)
	s.headed = final
	if end {
		s.ended()
	}
}

// Trailers sends a trailer section and with it the end of the response; all content must have
// been taken before.
func (s *Stream) Trailers(w *FieldWriter) {
	if s.over || !s.headed || s.localEnd {
		return
	}
	s.c.appendBlock(s.id, nil, w, true)
	s.ended()
}

func (s *Stream) ended() {
	s.localEnd, s.waiting = true, false
	s.c.ready.remove(s)
	s.c.settle(s)
}

// Data sends content, as far as the windows and the output have room for it, and returns how much
// it took. If that is less than len(p), Writable follows: call it again with the rest. The end of
// the response is sent with the last byte, if end is set; p may be empty for that.
//
// On a stream that is over p is dropped.
func (s *Stream) Data(p []byte, end bool) int {
	c := s.c
	if s.over || s.localEnd || !s.headed {
		return len(p)
	}
	n := 0
	for n < len(p) && c.mayTake(s) {
		m, cut := s.frameSize(len(p) - n)
		c.appendData(s, p[n:n+m], end && n+m == len(p), cut)
		n += m
		if c.ready.first != nil {
			break // the others' turn
		}
	}
	switch {
	case n < len(p):
		s.waiting = true
		c.await(s)
		return n
	case len(p) == 0 && end:
		c.appendData(s, nil, true, false)
	}
	s.waiting = false
	if end {
		s.ended()
	}
	return n
}

// mayTake tells whether there is room for content of s and no other stream waits for it.
func (c *Conn) mayTake(s *Stream) bool {
	return s.sendWindow > 0 && c.room() && (c.ready.first == nil || c.turn == s)
}

// frameSize is how much of n bytes the next frame holds, and whether a window cuts it.
func (s *Stream) frameSize(n int) (int, bool) {
	window := min(s.sendWindow, s.c.sendWindow)
	size := min(n, maxFrame)
	if int64(size) > window {
		return int(window), true
	}
	return size, false
}

func (c *Conn) appendData(s *Stream, p []byte, end, cut bool) {
	var flags uint8
	if end {
		flags = flagEndStream
	}
	c.out = appendFrameHead(c.out, len(p), frameData, flags, s.id)
	c.out = append(c.out, p...)
	s.sendWindow -= int64(len(p))
	c.sendWindow -= int64(len(p))
	c.sentContent(len(p), cut)
}

// appendBlock writes a field block as HEADERS and CONTINUATION, RFC 9113 section 4.3.
func (c *Conn) appendBlock(id uint32, head []byte, w *FieldWriter, end bool) {
	var rest []byte
	if w != nil {
		rest = w.buf
	}
	n := min(len(rest), maxFrame-len(head))
	var flags uint8
	if end {
		flags = flagEndStream
	}
	if n == len(rest) {
		flags |= flagEndHeaders
	}
	c.out = appendFrameHead(c.out, len(head)+n, frameHeaders, flags, id)
	c.out = append(append(c.out, head...), rest[:n]...)
	for rest = rest[n:]; len(rest) > 0; rest = rest[n:] {
		n, flags = min(len(rest), maxFrame), 0
		if n == len(rest) {
			flags = flagEndHeaders
		}
		c.out = appendFrameHead(c.out, n, frameContinuation, flags, id)
		c.out = append(c.out, rest[:n]...)
	}
}
