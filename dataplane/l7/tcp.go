package l7

import "time"

// tcpConn is a client connection whose bytes are passed through.
type tcpConn struct{ client }

func (c *tcpConn) hurry() {}

func (c *tcpConn) run() {
	defer c.watch.stop()
	defer c.in.conn.Close()
	if !c.begin() {
		return
	}
	t := c.engine.cfg.Timeouts
	c.watch.phase(t.Transfer)
	began := time.Now()
	c.renew()
	s, err := c.occupy(c.service.fallback.backend, nil, true)
	if err == errNoServer && c.renew() {
		s, err = c.occupy(c.service.fallback.backend, nil, true)
	}
	if err != nil {
		c.listener.stats.errors.Add(1)
		c.engine.cfg.Log.Info("connection refused: no server could be reached", "listener", c.listener.name, "client", c.peerText, "cause", err.Error())
		c.in.reset()
		return
	}
	end := s.end
	tun := tunnel{client: &c.in, server: &s.up.stream, watch: &c.watch, halfClosed: t.HalfClosed}
	in, out, err := tun.run()
	c.leave(&s, false)
	c.count(end, in, out, err)
	c.logTCP(end, began, in, out, err)
}

// count adds a tunnel to the counters.
func (c *client) count(end *endpoint, in, out int64, err error) {
	c.listener.stats.bytesIn.Add(in)
	c.listener.stats.bytesOut.Add(out)
	if err != nil {
		c.listener.stats.errors.Add(1)
		end.errors.Add(1)
	}
}
