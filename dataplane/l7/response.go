package l7

import (
	"errors"
	"io"

	"github.com/truepacs/balancer/dataplane/http1"
)

func (c *httpConn) response() *http1.Response { return &c.x.seat.up.resp }

// receive reads response heads up to the final one, and passes interim ones (RFC 9110 section
// 15.2) on to clients that know them.
func (c *httpConn) receive() error {
	up := c.x.seat.up
	for {
		if err := c.receiveHead(up); err != nil {
			return c.blame(err)
		}
		status := up.resp.Status
		switch {
		case status == 101 && !c.x.upgrade:
			return &http1.Error{Status: 502, Reason: "server switches protocols unasked"}
		case status >= 200 || status == 101:
			return nil
		}
		c.x.going = c.x.going || status == 100
		if err := c.relayInterim(); err != nil {
			return err
		}
	}
}

func (c *httpConn) receiveHead(up *upstream) error {
	up.resp.Reset()
	up.compact()
	for {
		n, err := up.resp.Parse(up.buffered(), http1.Limits{})
		if err != nil {
			return err
		}
		if n > 0 {
			c.watch.touch()
			up.skip(n)
			return nil
		}
		if err := up.fill(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
}

// blame turns the failure to read from a server into that of the client, if its upload caused it.
func (c *httpConn) blame(err error) error {
	if !c.up.running || !isConnectionError(err) {
		return err
	}
	var client *clientError
	if uploaded := c.finishUpload(true); errors.As(uploaded, &client) && !isTimeout(uploaded) {
		return client
	}
	return err
}

func (c *httpConn) relayInterim() error {
	if c.req.Minor == 0 {
		return nil
	}
	r := c.response()
	out := borrowSmall()[:0]
	out = http1.AppendStatusLine(out, r.Status, r.Bytes(r.Reason))
	out = http1.AppendEnd(appendPassing(out, r))
	_, err := c.in.conn.Write(out)
	giveBack(out)
	if err != nil {
		return &clientError{err}
	}
	c.watch.touch()
	return nil
}

// relay passes the final response on and decides what becomes of both connections.
func (c *httpConn) relay() {
	x := &c.x
	r := c.response()
	in := r.Framing([]byte(x.method))
	chunked := (in.Kind == http1.Chunked || in.Kind == http1.UntilClose) && c.req.Minor == 1
	untilClose := !chunked && (in.Kind == http1.Chunked || in.Kind == http1.UntilClose)
	serverKeeps := r.KeepAlive() && in.Kind != http1.UntilClose && !r.Misframed()
	unsent := !c.uploadEnded() && (c.req.Expects && !x.going || !serverKeeps)
	x.keep = x.keep && !untilClose && !unsent && !c.ending()
	x.status = r.Status
	c.down.begin(&x.seat.up.stream, &c.in, &c.watch, in, chunked, &c.dnDec)
	out := c.appendResponse(x.out[:0], chunked)
	out, err := c.down.inline(out)
	x.out, x.head = out, true
	end := x.seat.end
	if err == nil && c.down.done && !c.up.running {
		c.leaveServer(serverKeeps) // it can serve the next request while the client reads
	}
	if _, wrote := c.in.conn.Write(out); wrote != nil {
		err = &sinkError{wrote}
	}
	c.watch.touch()
	if err == nil {
		err = c.down.run()
	}
	c.conclude(end, err, unsent)
	c.leaveServer(serverKeeps && err == nil)
	if err != nil && untilClose && isSource(err) {
		c.in.reset() // a proper close would look like the end of the body
	}
}

// leaveServer gives the server's connection up. It is kept if the server keeps it, the request
// was sent in full and nothing came that was not asked for.
func (c *httpConn) leaveServer(keep bool) {
	if up := c.x.seat.up; up != nil {
		c.leave(&c.x.seat, keep && c.x.uploadErr == nil && !c.up.aborted && len(up.buffered()) == 0)
	}
}

// conclude ends an exchange whose response was relayed, err is how: it waits for the upload or,
// if the rest of it is not wanted, ends it, and counts.
func (c *httpConn) conclude(end *endpoint, err error, unsent bool) {
	x := &c.x
	c.listener.stats.bytesOut.Add(c.down.moved)
	if failed := c.finishUpload(unsent || err != nil); failed != nil {
		x.uploadErr = failed
	}
	c.listener.stats.bytesIn.Add(c.bytesIn())
	if err == nil {
		return
	}
	x.keep, x.failed = false, true
	if isSource(err) {
		end.errors.Add(1)
		c.engine.cfg.Log.V(1).Info("response was cut short", "listener", c.listener.name, "server", end.key.Server, "cause", err.Error())
	}
}

func (c *httpConn) bytesIn() int64 {
	if c.req.Body.Kind == http1.NoBody {
		return 0
	}
	return c.up.transfer.moved
}

// appendResponse appends the head for the client.
func (c *httpConn) appendResponse(dst []byte, chunked bool) []byte {
	r, x := c.response(), &c.x
	dst = http1.AppendStatusLine(dst, r.Status, r.Bytes(r.Reason))
	dst = appendPassing(dst, r)
	switch n := r.DeclaredLength(); {
	case chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case n >= 0 && r.Status != 204:
		dst = http1.AppendLength(dst, n)
	}
	if own := x.route.backend.cookie; own != nil && !x.cookie {
		dst = own.appendSet(dst, x.seat.end.token)
	}
	switch {
	case !x.keep:
		dst = append(dst, "Connection: close\r\n"...)
	case c.req.Minor == 0:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return http1.AppendEnd(dst)
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
