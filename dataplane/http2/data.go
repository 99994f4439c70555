package http2

// dataFrame is the DATA frame of which a part came.
type dataFrame struct {
	begun   bool
	s       *Stream // nil: what comes is dropped
	content int     // bytes of content to come
	padding int     // bytes of padding to come
	// overhead is what the flow-control windows get back at the end of the frame, since the
	// handler will not consume it.
	overhead int
}

// dataPiece takes a piece of a DATA frame, RFC 9113 section 6.1.
func (c *Conn) dataPiece(p []byte) ([]byte, *Error) {
	d, f := &c.data, c.input.frame
	if !d.begun {
		var err *Error
		if p, err = d.begin(f, p); err != nil || !d.begun {
			return nil, err
		}
		if err = c.beginData(f); err != nil {
			return nil, err
		}
	}
	n := min(len(p), d.content)
	d.content -= n
	if n > 0 {
		c.deliver(d.s, p[:n], f.has(flagEndStream) && d.content == 0 && d.padding == 0)
	}
	p = p[n:]
	if d.content == 0 {
		n = min(len(p), d.padding)
		d.padding -= n
		p = p[n:]
	}
	if d.content == 0 && d.padding == 0 {
		c.endData(f)
	}
	return p, nil
}

// begin reads how long the padding is; it has not begun while that byte is missing.
func (d *dataFrame) begin(f frameHead, p []byte) ([]byte, *Error) {
	d.content = f.length
	if f.has(flagPadded) {
		switch {
		case f.length == 0:
			return nil, frameSize("frame too short for its padding")
		case len(p) == 0:
			return nil, nil
		case int(p[0]) >= f.length:
			return nil, protocol("padding longer than its frame")
		}
		d.padding = int(p[0])
		d.content, p = f.length-1-d.padding, p[1:]
	}
	d.begun = true
	return p, nil
}

// beginData decides what becomes of the frame, once the length of its content is known.
func (c *Conn) beginData(f frameHead) *Error {
	d := &c.data
	switch {
	case f.id == 0 || c.table.idle(f.id):
		return protocol("DATA on an idle stream")
	case f.length > c.recvWindow:
		return &Error{FlowControlError, "more content than the connection's window"}
	}
	c.recvWindow -= f.length
	d.overhead = f.length
	s := c.table.find(f.id)
	if s == nil || s.remoteEnd {
		return c.lateFrame(f, s)
	}
	if f.length > s.recvWindow {
		return c.streamError(s, FlowControlError)
	}
	s.recvWindow -= f.length
	s.received += int64(d.content)
	if s.length >= 0 && (s.received > s.length || f.has(flagEndStream) && s.received < s.length) {
		return c.streamError(s, ProtocolError)
	}
	d.s, d.overhead = s, f.length-d.content
	if d.content == 0 && !f.has(flagEndStream) {
		return c.glitch()
	}
	c.glitches.refill(d.content / 1024)
	return nil
}

// deliver gives content to the handler, and drops what is for no stream.
func (c *Conn) deliver(s *Stream, p []byte, end bool) {
	switch {
	case s == nil: // overhead has it
	case s.over:
		c.credit(len(p))
	default:
		s.unconsumed += len(p)
		s.remoteEnd = end
		c.handler.Data(s, p, end)
		c.settle(s)
	}
}

func (c *Conn) endData(f frameHead) {
	s, overhead := c.data.s, c.data.overhead
	c.data = dataFrame{}
	c.input.headLen = 0
	if overhead > 0 {
		c.credit(overhead)
	}
	if s == nil || s.over {
		return
	}
	s.credit(overhead)
	if f.has(flagEndStream) && !s.remoteEnd {
		c.deliver(s, nil, true)
	}
}
