package l7

// upload is the goroutine that carries the rest of a request body, so that the server may answer
// in the meantime.
type upload struct {
	transfer transfer
	running  bool
	aborted  bool
	done     chan error
}

func (c *httpConn) startUpload() {
	if c.up.done == nil {
		c.up.done = make(chan error, 1)
	}
	c.up.running, c.up.aborted = true, false
	go c.uploadBody(c.x.seat.up)
}

// uploadBody tells the result to finishUpload. If the client fails, nobody waits for an answer
// any more: the server's connection is ended, which also wakes the goroutine that reads from it.
func (c *httpConn) uploadBody(up *upstream) {
	err := c.up.transfer.run()
	if isSource(err) {
		err = &clientError{err}
		_ = up.conn.SetDeadline(past)
	}
	c.up.done <- err
}

// uploadEnded tells that no upload is under way. If it failed, the client connection is not used again.
func (c *httpConn) uploadEnded() bool {
	if c.up.running && len(c.up.done) > 0 {
		c.x.uploadErr = c.finishUpload(false)
	}
	return !c.up.running
}

// finishUpload waits for the upload, or with abort ends it, and returns its error. The client
// connection is of no further use after an upload that did not finish.
func (c *httpConn) finishUpload(abort bool) error {
	if !c.up.running {
		return nil
	}
	c.up.running = false
	if abort {
		select {
		case err := <-c.up.done:
			return c.uploaded(err)
		default:
			c.up.aborted = true
			_ = c.in.conn.SetReadDeadline(past)
			_ = c.x.seat.up.conn.SetWriteDeadline(past)
		}
	}
	return c.uploaded(<-c.up.done)
}

func (c *httpConn) uploaded(err error) error {
	if err != nil || c.up.aborted {
		c.x.keep, c.x.stuck = false, true
	}
	return err
}
