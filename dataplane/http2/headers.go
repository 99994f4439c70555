package http2

// block is a field block, in a HEADERS frame and any CONTINUATION frames after it.
type block struct {
	open      bool // CONTINUATION must follow
	frame     frameHead
	depends   bool // on itself, RFC 7540 section 5.3.1
	part      []byte
	continued int
}

const (
	// blockLimit is how many times Config.MaxFields a field block may have in bytes. Up to that a
	// request is answered with 431, beyond the connection ends.
	blockLimit = 2
	// maxContinuations is how many CONTINUATION frames a block may have (CVE-2024-27316).
	maxContinuations = 64
)

// headers takes a HEADERS frame, RFC 9113 section 6.2.
func (c *Conn) headers(f frameHead, p []byte) *Error {
	if f.id%2 == 0 {
		return protocol("HEADERS on a stream that is not a client's")
	}
	p, err := unpad(f, p)
	if err != nil {
		return err
	}
	c.block.frame, c.block.depends = f, false
	if f.has(flagPriority) {
		if len(p) < 5 {
			return frameSize("HEADERS too short for its priority")
		}
		c.block.depends = dependsOnItself(f.id, p)
		p = p[5:]
	}
	if f.has(flagEndHeaders) {
		return c.fieldBlock(p)
	}
	c.block.open = true
	return c.keepPart(p)
}

// continuation takes a CONTINUATION frame, RFC 9113 section 6.10.
func (c *Conn) continuation(f frameHead, p []byte) *Error {
	b := &c.block
	if b.continued++; b.continued > maxContinuations {
		return calm("too many CONTINUATION frames")
	}
	if err := c.keepPart(p); err != nil || !f.has(flagEndHeaders) {
		return err
	}
	part := b.part
	*b = block{frame: b.frame, depends: b.depends}
	return c.fieldBlock(part)
}

func (c *Conn) keepPart(p []byte) *Error {
	if len(c.block.part)+len(p) > blockLimit*c.cfg.MaxFields {
		return calm("field block too large")
	}
	c.block.part = append(c.block.part, p...)
	return nil
}

// fieldBlock takes a whole field block. Whatever becomes of its stream, it is decoded, because
// the table of HPACK is the connection's.
func (c *Conn) fieldBlock(p []byte) *Error {
	f := c.block.frame
	s := c.table.find(f.id)
	c.section.reset(s != nil)
	defer c.section.reset(false)
	if err := c.section.decode(p); err != nil {
		return err
	}
	switch {
	case s != nil && !s.remoteEnd:
		return c.trailers(s, f)
	case s != nil || !c.table.idle(f.id):
		return c.lateFrame(f, s)
	}
	return c.request(f)
}

// request opens a stream.
func (c *Conn) request(f frameHead) *Error {
	c.table.last = f.id
	end := f.has(flagEndStream)
	switch {
	case c.leaving == left || len(c.table.open) >= int(c.cfg.MaxStreams):
		return c.refuse(f.id, RefusedStream)
	case c.block.depends || c.section.check(end, c.cfg.ExtendedConnect) != "":
		return c.refuse(f.id, ProtocolError)
	}
	s := c.open(f.id)
	s.length, s.remoteEnd, s.tunnel = c.section.Length, end, c.section.Method == connect
	c.handler.Request(s, &c.section.Request, end)
	c.settle(s)
	return nil
}

// trailers takes the field block after the content, RFC 9113 section 8.1.
func (c *Conn) trailers(s *Stream, f frameHead) *Error {
	switch {
	case c.section.TooLarge:
		return c.streamError(s, EnhanceYourCalm)
	case s.tunnel, c.block.depends, !f.has(flagEndStream), c.section.fault != "", s.length >= 0 && s.received < s.length:
		return c.streamError(s, ProtocolError)
	}
	s.remoteEnd = true
	c.handler.Trailers(s, c.section.Fields)
	c.settle(s)
	return nil
}
