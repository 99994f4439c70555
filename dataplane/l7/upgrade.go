package l7

import "github.com/truepacs/balancer/dataplane/http1"

// switchProtocols passes the 101 on and makes a tunnel of the two connections (RFC 9110 section
// 7.8), with what each side has sent already.
func (c *httpConn) switchProtocols() {
	x := &c.x
	r := c.response()
	x.status, x.keep = r.Status, false
	out := http1.AppendStatusLine(x.out[:0], r.Status, r.Bytes(r.Reason))
	out = appendPassing(out, r)
	out = append(out, "Connection: Upgrade\r\n"...)
	out = c.appendUpgrade(out, r.Fields(), r.Bytes)
	if own := x.route.backend.cookie; own != nil && !x.cookie {
		out = own.appendSet(out, x.seat.end.token)
	}
	x.out = http1.AppendEnd(out)
	end := x.seat.end
	if _, err := c.in.conn.Write(x.out); err != nil {
		x.failed = true
		c.leave(&x.seat, false)
		return
	}
	t := tunnel{client: &c.in, server: &x.seat.up.stream, watch: &c.watch, halfClosed: c.engine.cfg.Timeouts.HalfClosed}
	in, out2, err := t.run()
	c.leave(&x.seat, false)
	c.count(end, in, out2, err)
}
