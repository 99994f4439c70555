package l7

import (
	"time"

	"github.com/truepacs/balancer/dataplane/relay"
	"github.com/truepacs/balancer/dataplane/stream"
)

// seeker is told what became of the search for a place at a server.
type seeker interface {
	// reached says that the seat has a connection; unserved, that no server could be reached.
	reached()
	unserved(err error)
}

// seat is a place at a server, counted as in progress until leave, or the search for one. No byte is sent to any server
// before one is reached, so the search may go through all of them.
type seat struct {
	client  *client
	seeker  seeker
	holder  holder // is told about the connection
	backend *backend
	end     *endpoint // nil: none
	up      *upstream

	tried   []*endpoint
	failure error // of the last one tried
	careful bool  // see worker.unused
	fresh   bool  // unused connections are left alone
	making  bool  // a connection is being made
	began   time.Duration
	took    time.Duration // how long reaching the server took; negative: it was not reached
}

// seek looks for a place: at first if it is not nil, else and after a failure at the server whose turn it is.
func (s *seat) seek(b *backend, first *endpoint) {
	s.backend, s.tried, s.failure, s.took = b, s.tried[:0], errNoServer, -1
	s.try(first)
}

func (s *seat) try(end *endpoint) {
	for ; ; end = nil {
		if end == nil {
			if end = s.backend.pick(s.tried); end == nil {
				s.seeker.unserved(s.failure)
				return
			}
		}
		end.current.Add(1)
		s.end = end
		if !s.fresh {
			if s.up = s.client.w.unused(end, s.client.conn.whence(end), s.careful, s.holder); s.up != nil {
				s.took = s.client.w.loop.Now() - s.began
				s.seeker.reached()
				return
			}
		}
		var err error
		if s.up, err = s.client.w.connect(end, s.holder); err == nil {
			s.making = true
			s.client.phase(s.client.w.engine.cfg.Timeouts.Connect)
			return
		}
		s.missed(err)
	}
}

// missed gives up a server that cannot be reached.
func (s *seat) missed(err error) {
	end := s.end
	s.failure = &connectError{end.key.Server, err}
	s.client.w.of(end.server).errors.Add(1)
	s.client.w.engine.cfg.Log.V(1).Info("server cannot be reached", "pool", end.key.Pool, "server", end.key.Server, "address", end.to.String(), "cause", err.Error())
	s.tried = append(s.tried, end)
	s.making = false
	s.leave(false)
}

// made looks what became of a connection that is being made; late: its time is over.
func (s *seat) made(late bool) {
	err := s.up.stream.Connected()
	if err == stream.ErrAgain {
		if !late {
			return
		}
		err = relay.ErrConnectTimeout
	}
	if err == nil {
		err = s.introduce()
	}
	if err != nil {
		s.missed(err)
		s.try(nil)
		return
	}
	s.making = false
	s.took = s.client.w.loop.Now() - s.began
	s.client.w.of(s.end.server).dialled.Add(1)
	s.seeker.reached()
}

// leave gives the place up. With keep the connection waits for the next request, else it is closed.
func (s *seat) leave(keep bool) {
	if s.end == nil {
		return
	}
	s.end.current.Add(-1)
	if up := s.up; up != nil && keep {
		up.keep()
	} else if up != nil {
		up.close(false)
	}
	s.end, s.up, s.making = nil, nil, false
}

// abort gives the place up so that the server sees an error.
func (s *seat) abort() {
	if s.up != nil {
		s.end.current.Add(-1)
		s.up.close(true)
		s.end, s.up, s.making = nil, nil, false
		return
	}
	s.leave(false)
}
