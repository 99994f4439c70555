package http2

// input cuts what is received into frames. DATA passes in pieces, as they come; of other frames
// that are cut the part is kept until the rest is there.
type input struct {
	preface int // bytes of the preface that came
	headLen int // bytes of the frame head that came
	head    [frameHeadLen]byte
	frame   frameHead
	settled bool // SETTINGS came
	part    []byte
	skipped int // bytes of an unknown frame
}

// step takes the next piece of p: of the preface, of a frame's head or of its payload.
func (c *Conn) step(p []byte) ([]byte, *Error) {
	in := &c.input
	if in.preface < len(preface) {
		return c.readPreface(p)
	}
	if in.headLen < frameHeadLen {
		n := copy(in.head[in.headLen:], p)
		in.headLen += n
		if p = p[n:]; in.headLen < frameHeadLen {
			return nil, nil
		}
		in.frame = parseFrameHead(&in.head)
		if err := c.admit(in.frame); err != nil {
			return nil, err
		}
	}
	switch in.frame.kind {
	case frameData:
		return c.dataPiece(p)
	case frameUnknown:
		return c.skip(p)
	}
	return c.gather(p)
}

func (c *Conn) readPreface(p []byte) ([]byte, *Error) {
	in := &c.input
	n := min(len(p), len(preface)-in.preface)
	if string(p[:n]) != preface[in.preface:in.preface+n] {
		return nil, protocol("not the preface of HTTP/2")
	}
	in.preface += n
	return p[n:], nil
}

// admit tells whether a frame may come now, before its payload is there.
func (c *Conn) admit(f frameHead) *Error {
	in := &c.input
	switch {
	case f.length > maxFrame:
		return frameSize("frame larger than 16,384 bytes")
	case !in.settled && (f.kind != frameSettings || f.has(flagAck)):
		return protocol("first frame is not SETTINGS")
	case c.block.open && (f.kind != frameContinuation || f.id != c.block.frame.id):
		return protocol("field block without its end")
	case !c.block.open && f.kind == frameContinuation:
		return protocol("CONTINUATION without HEADERS")
	}
	in.settled = true
	return nil
}

// skip takes a piece of a frame of unknown type, RFC 9113 section 5.5.
func (c *Conn) skip(p []byte) ([]byte, *Error) {
	in := &c.input
	n := min(len(p), in.frame.length-in.skipped)
	if in.skipped += n; in.skipped < in.frame.length {
		return nil, nil
	}
	in.skipped, in.headLen = 0, 0
	return p[n:], c.glitch()
}

// gather takes a piece of a frame that is processed as a whole.
func (c *Conn) gather(p []byte) ([]byte, *Error) {
	in := &c.input
	n := min(len(p), in.frame.length-len(in.part))
	payload, rest := p[:n], p[n:]
	if n < in.frame.length {
		in.part = append(in.part, payload...)
		if payload = in.part; len(payload) < in.frame.length {
			return nil, nil
		}
	}
	in.headLen = 0
	err := c.process(in.frame, payload)
	if in.part = in.part[:0]; cap(in.part) > idleBuffer {
		in.part = nil
	}
	return rest, err
}

// process takes a whole frame.
func (c *Conn) process(f frameHead, p []byte) *Error {
	switch f.kind {
	case frameHeaders:
		return c.headers(f, p)
	case frameContinuation:
		return c.continuation(f, p)
	case framePriority:
		return c.priority(f, p)
	case frameRSTStream:
		return c.rstStream(f, p)
	case frameSettings:
		return c.settings(f, p)
	case framePing:
		return c.ping(f, p)
	case frameGoAway:
		return c.goAway(f, p)
	case frameWindowUpdate:
		return c.windowUpdate(f, p)
	}
	return protocol("PUSH_PROMISE from a client")
}
