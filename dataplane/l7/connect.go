package l7

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
)

// errNoServer says that no server of a pool is healthy.
var errNoServer = errors.New("no server is available")

// connectError says that no server could be reached.
type connectError struct {
	server string
	err    error
}

// Error implements error.
func (e *connectError) Error() string { return fmt.Sprintf("server %s: %v", e.server, e.err) }

// Unwrap returns the cause.
func (e *connectError) Unwrap() error { return e.err }

// timeout tells that a server did not answer, rather than refuse.
func (e *connectError) timeout() bool {
	return errors.Is(e.err, context.DeadlineExceeded) || errors.Is(e.err, os.ErrDeadlineExceeded) || isTimeout(e.err)
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// seat is a place at a server: a connection to it, counted as in progress until leave.
type seat struct {
	end *endpoint
	up  *upstream
}

// occupy connects to a server of b: to first if it is not nil, else and after a failure to the
// one whose turn it is. No byte has been sent to any server before it returns, so it may go
// through all of them. With fresh set, unused connections are left alone.
func (c *client) occupy(b *backend, first *endpoint, fresh bool) (seat, error) {
	var tried []*endpoint
	var failed error = errNoServer
	for end := first; ; end = nil {
		if end == nil {
			if end = b.pick(tried); end == nil {
				return seat{}, failed
			}
		}
		end.current.Add(1)
		up, err := c.connect(end, fresh)
		if err == nil {
			c.watch.server(up.conn)
			return seat{end, up}, nil
		}
		end.current.Add(-1)
		end.errors.Add(1)
		failed = &connectError{end.key.Server, err}
		if c.watch.fired.Load() {
			return seat{}, failed
		}
		c.engine.cfg.Log.V(1).Info("server cannot be reached", "pool", end.key.Pool, "server", end.key.Server, "address", end.to.String(), "cause", err.Error())
		tried = append(tried, end)
	}
}

func (c *client) connect(end *endpoint, fresh bool) (*upstream, error) {
	if !fresh {
		if up := end.idle.take(); up != nil {
			return up, nil
		}
	}
	ctx, cancel := context.WithTimeout(c.engine.dialling, c.engine.cfg.Timeouts.Connect)
	defer cancel()
	conn, err := c.engine.cfg.Dial(ctx, end.to)
	if err != nil {
		return nil, err
	}
	end.dialled.Add(1)
	up := &upstream{end: end}
	up.attach(conn)
	return up, nil
}

// leave gives the place up. With keep the connection waits for the next request, else it is
// closed.
func (c *client) leave(s *seat, keep bool) {
	if s.up == nil {
		return
	}
	c.watch.server(nil)
	s.end.current.Add(-1)
	if keep && !c.watch.fired.Load() {
		s.end.idle.put(s.up, c.engine.cfg.Timeouts.ServerIdle)
	} else {
		_ = s.up.conn.Close()
		s.up.drop()
	}
	*s = seat{}
}

// drop gives the buffer back whatever is in it.
func (s *stream) drop() {
	s.r, s.w = 0, 0
	s.release()
}
