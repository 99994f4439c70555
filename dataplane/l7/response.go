package l7

import "github.com/truepacs/balancer/dataplane/http1"

// appendHead implements front.
func (c *httpConn) appendHead(dst []byte, r *http1.Response, chunked bool) []byte {
	dst = http1.AppendStatusLine(dst, r.Status, r.Bytes(r.Reason))
	dst = appendPassing(dst, r)
	switch n := r.DeclaredLength(); {
	case chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case n >= 0 && r.Status != 204:
		dst = http1.AppendLength(dst, n)
	}
	dst = c.appendCookie(dst)
	switch {
	case !c.x.keep:
		dst = append(dst, "Connection: close\r\n"...)
	case c.req.Minor == 0:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return http1.AppendEnd(dst)
}

// appendCookie ties a browser that does not know its server to it.
func (c *httpConn) appendCookie(dst []byte) []byte {
	if own := c.x.route.backend.cookie; own != nil && !c.x.cookie {
		return own.appendSet(dst, c.x.seat.end.token)
	}
	return dst
}

// appendInterim implements front.
func (c *httpConn) appendInterim(dst []byte, r *http1.Response) []byte {
	dst = http1.AppendStatusLine(dst, r.Status, r.Bytes(r.Reason))
	return http1.AppendEnd(appendPassing(dst, r))
}

// appendSwitch implements front.
func (c *httpConn) appendSwitch(dst []byte, r *http1.Response) []byte {
	dst = http1.AppendStatusLine(dst, r.Status, r.Bytes(r.Reason))
	dst = appendPassing(dst, r)
	dst = append(dst, "Connection: Upgrade\r\n"...)
	dst = appendUpgrade(dst, r.Fields(), r.Bytes)
	return http1.AppendEnd(c.appendCookie(dst))
}

// appendReply implements front.
func (c *httpConn) appendReply(dst []byte, r *reply) []byte {
	return r.append(dst, c.x.method.isHead(), c.x.keep)
}

// appendPassing appends the fields of a response that travel from end to end.
func appendPassing(dst []byte, r *http1.Response) []byte {
	for _, f := range r.Fields() {
		if !f.Hop && f.ID != http1.ContentLength {
			dst = http1.AppendField(dst, r.Bytes(f.Name), r.Bytes(f.Value))
		}
	}
	return dst
}
