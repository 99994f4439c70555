package relay

import (
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/nonblock"
)

// few is how many bytes a splice must move to be worth more than copying.
const few = 8 << 10

// pump carries bytes from one side to the other until there are none, the other takes none, or the turn is
// over. false: the pair has ended, and must not be touched.
func (p *Pair) pump(s *side) bool {
	to, l := p.other(s), p.relay.loop
	for budget := l.TurnBytes(); ; {
		if err := p.flush(s, to); err == unix.EAGAIN {
			return true
		} else if err != nil {
			return p.refused(to, err)
		}
		if s.ended || !s.readable {
			return p.passEnd(s, to)
		}
		if budget <= 0 {
			l.Again(&s.source)
			return true
		}
		n, err := s.read()
		if gone(err) {
			p.broke(s, err)
			return false
		}
		if n > 0 {
			p.touched = l.Now()
		}
		budget -= n
	}
}

// passEnd passes the end of a direction on. false: that was the second one.
func (p *Pair) passEnd(s, to *side) bool {
	if !s.ended || to.shut {
		return true
	}
	to.shut = true
	p.touched = p.relay.loop.Now()
	_ = nonblock.Shutdown(to.source.FD(), unix.SHUT_WR) // one who is gone shows when read
	if s.shut {
		p.finish(Normal, nil)
		return false
	}
	return true
}

// refused ends the pair because a side takes no more, after what it had sent before has been passed on: an
// answer that refuses an upload must arrive.
func (p *Pair) refused(s *side, cause error) bool {
	if !p.parting {
		p.parting, s.readable = true, true
		if !p.pump(s) {
			return false
		}
	}
	p.broke(s, cause)
	return false
}

// flush passes on what is held; EAGAIN: the receiver takes no more now.
func (p *Pair) flush(s, to *side) error {
	for s.held() > 0 {
		if to.full {
			return unix.EAGAIN
		}
		n, err := s.write(to.source.FD())
		if err == unix.EAGAIN {
			to.full = true
			if err := p.relay.loop.Expect(&to.source, eventloop.Readable|eventloop.Writable); err != nil {
				return err
			}
			return unix.EAGAIN
		}
		if err != nil {
			return err
		}
		s.bytes += int64(n)
		p.touched = p.relay.loop.Now()
		if s == &p.client {
			p.relay.toServer.Add(int64(n))
		} else {
			p.relay.toClient.Add(int64(n))
		}
	}
	s.drop()
	return nil
}

func (s *side) write(to int) (int, error) {
	if s.pipe != nil {
		return s.pipe.Drain(to)
	}
	n, err := nonblock.Send(to, s.block[s.from:s.to], 0)
	s.from += uint16(n)
	return n, err
}

// read takes bytes from the side; nothing is held. EAGAIN: there were none.
func (s *side) read() (int, error) {
	if s.bulk {
		if s.pipe = s.pair.relay.loop.TakePipe(); s.pipe != nil {
			return s.splice()
		}
	}
	return s.copy()
}

func (s *side) copy() (int, error) {
	s.block = s.pair.relay.loop.TakeBlock()
	n, err := nonblock.Recv(s.source.FD(), s.block[:], 0)
	s.from, s.to = 0, uint16(n)
	s.bulk = n == len(s.block)
	s.readable = err == nil && (s.bulk || s.hup)
	s.ended = err == nil && n == 0
	return n, err
}

func (s *side) splice() (int, error) {
	n, err := s.pipe.Fill(s.source.FD())
	s.bulk = n >= few || err != nil
	s.readable = err == nil
	s.ended = err == nil && n == 0
	return n, err
}

// drop gives back what was borrowed.
func (s *side) drop() {
	l := s.pair.relay.loop
	if s.block != nil {
		l.GiveBlock(s.block)
		s.block, s.from, s.to = nil, 0, 0
	}
	if s.pipe != nil {
		l.GivePipe(s.pipe)
		s.pipe = nil
	}
}
