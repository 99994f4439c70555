package http2

import "encoding/binary"

// priority takes a PRIORITY frame, RFC 9113 section 6.3. Only its form matters.
func (c *Conn) priority(f frameHead, p []byte) *Error {
	switch {
	case f.id == 0:
		return protocol("PRIORITY on the connection")
	case len(p) != 5:
		return c.controlError(f.id, frameSize("PRIORITY is not of 5 bytes"))
	case dependsOnItself(f.id, p):
		return c.controlError(f.id, protocol("stream depends on itself"))
	}
	return c.glitch()
}

// dependsOnItself reads a priority, RFC 7540 section 5.3.1.
func dependsOnItself(id uint32, p []byte) bool { return binary.BigEndian.Uint32(p)&^(1<<31) == id }

// controlError resets an open stream, and ends the connection if there is none to reset.
func (c *Conn) controlError(id uint32, err *Error) *Error {
	if s := c.table.find(id); s != nil {
		return c.streamError(s, err.Code)
	}
	return err
}

// rstStream takes an RST_STREAM frame, RFC 9113 section 6.4.
func (c *Conn) rstStream(f frameHead, p []byte) *Error {
	switch {
	case len(p) != 4:
		return frameSize("RST_STREAM is not of 4 bytes")
	case c.table.idle(f.id):
		return protocol("RST_STREAM on an idle stream")
	}
	s := c.table.find(f.id)
	if s == nil {
		return c.glitch()
	}
	unanswered := !s.headed
	c.end(s, closedByPeer)
	c.handler.Reset(s, ErrCode(binary.BigEndian.Uint32(p)))
	if unanswered {
		return c.provoked()
	}
	return nil
}

// ping takes a PING frame, RFC 9113 section 6.7.
func (c *Conn) ping(f frameHead, p []byte) *Error {
	switch {
	case f.id != 0:
		return protocol("PING on a stream")
	case len(p) != 8:
		return frameSize("PING is not of 8 bytes")
	case f.has(flagAck) && c.leaving == announced && string(p) == farewell:
		c.leave()
	case !f.has(flagAck):
		c.out = appendPing(c.out, flagAck, p)
	}
	return c.glitch()
}

// goAway takes a GOAWAY frame, RFC 9113 section 6.8: the client will take no pushes, of which
// there are none.
func (c *Conn) goAway(f frameHead, p []byte) *Error {
	switch {
	case f.id != 0:
		return protocol("GOAWAY on a stream")
	case len(p) < 8:
		return frameSize("GOAWAY is shorter than 8 bytes")
	}
	return c.glitch()
}
