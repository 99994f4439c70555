package relay

import (
	"math"
	"time"

	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/nonblock"
)

// Pair is a client's connection with the one to its server. Its methods are for its loop only.
type Pair struct {
	relay    *Relay
	settings *Settings
	owner    Owner
	client   side
	server   side
	timer    eventloop.Timer
	target   Target
	began    time.Duration
	touched  time.Duration // when something moved last
	took     time.Duration // how long reaching the server took; negative: not reached
	parting  bool          // a side broke off, what it had sent before is being passed on
	next     *Pair
	prev     *Pair
}

// side is one of the connections, and the bytes read from it that are on their way to the other.
type side struct {
	source   eventloop.Source
	pair     *Pair
	block    *eventloop.Block // holds from..to; nil: nothing
	from, to uint16
	pipe     *eventloop.Pipe // in place of block
	bytes    int64           // passed on

	readable bool // reading may give something
	hup      bool // its end has come: a short read is not the last one
	ended    bool // its end has been read
	shut     bool // the other's end has been passed on to it
	bulk     bool // so much comes that splicing pays
	full     bool // it takes no more until it is Writable
}

var (
	_ eventloop.Handler = (*side)(nil)
	_ eventloop.Expirer = (*Pair)(nil)
)

// Bytes are what was passed on so far.
func (p *Pair) Bytes() (toServer, toClient int64) { return p.client.bytes, p.server.bytes }

// Held is how many bytes were read and not passed on yet.
func (p *Pair) Held() int { return p.client.held() + p.server.held() }

// Age is how long the pair has lived.
func (p *Pair) Age() time.Duration { return p.relay.loop.Now() - p.began }

// Kill ends the pair; who is 'K' for an administrator or 'D' for a server that was taken out. Both sides see a reset.
func (p *Pair) Kill(who byte) { p.finish(Reason{who, p.phase()}, nil) }

func (p *Pair) phase() byte {
	if p.took < 0 {
		return 'C'
	}
	return 'D'
}

func (p *Pair) other(s *side) *side {
	if s == &p.client {
		return &p.server
	}
	return &p.client
}

func (s *side) held() int {
	n := int(s.to) - int(s.from)
	if s.pipe != nil {
		n += s.pipe.Held()
	}
	return n
}

// note remembers what events say.
func (s *side) note(events eventloop.Events) {
	const end = eventloop.Ended | eventloop.Gone | eventloop.Failed
	if events&end != 0 {
		s.hup = true
	}
	if events&(eventloop.Readable|end) != 0 {
		s.readable = true
	}
	if events&(eventloop.Writable|end) != 0 {
		s.full = false
	}
}

// Ready is for the loop.
func (s *side) Ready(events eventloop.Events) {
	p := s.pair
	switch {
	case events&eventloop.Closing != 0:
		p.Kill('K')
		return
	case p.took < 0 && s == &p.server:
		p.connecting(events)
		return
	case p.took < 0:
		s.note(events)
		if events&eventloop.Failed != 0 {
			p.finish(ClientConnecting, nil)
		}
		return
	}
	s.note(events)
	if !p.pump(s) || p.other(s).held() > 0 && !p.pump(p.other(s)) {
		return
	}
	if events&eventloop.Failed != 0 {
		if cause, failed := nonblock.GetError(s.source.FD()); cause != nil || failed != nil {
			p.broke(s, cause)
			return
		}
	}
	p.arm()
}

// broke ends the pair because a side broke off.
func (p *Pair) broke(s *side, cause error) {
	switch {
	case s == &p.server:
		p.finish(ServerData, cause)
	case p.server.ended && p.server.shut:
		p.finish(ClientLast, cause)
	default:
		p.finish(ClientData, cause)
	}
}

// waiting says whether the pair waits for a side: for bytes from it, or for it to take some.
func (p *Pair) waiting(s *side) bool {
	return !s.ended && s.held() == 0 || p.other(s).held() > 0
}

// limit is how long the pair waits for a side.
func (p *Pair) limit(s *side, idle time.Duration) time.Duration {
	if s.shut && p.settings.HalfClosed > 0 {
		idle = p.settings.HalfClosed
	}
	if idle <= 0 || !p.waiting(s) {
		return math.MaxInt64
	}
	return idle
}

// patience is how long after the last byte the pair ends, and why; no reason: never.
func (p *Pair) patience() (time.Duration, Reason) {
	if p.took < 0 {
		if p.settings.Connect <= 0 {
			return 0, Reason{}
		}
		return p.settings.Connect, ServerTimeoutConn
	}
	client, server := p.limit(&p.client, p.settings.ClientIdle), p.limit(&p.server, p.settings.ServerIdle)
	switch {
	case min(client, server) == math.MaxInt64:
		return 0, Reason{}
	case server < client:
		return server, ServerTimeout
	case p.server.ended && p.server.shut:
		return client, ClientTimeoutLast
	default:
		return client, ClientTimeout
	}
}

// arm sets the timer; while bytes flow that is a store.
func (p *Pair) arm() {
	l := p.relay.loop
	if d, why := p.patience(); why != (Reason{}) {
		l.SetTimer(&p.timer, p.touched+d-l.Now())
	} else {
		l.StopTimer(&p.timer)
	}
}

// Expired is for the loop: the timer has run out.
func (p *Pair) Expired(*eventloop.Timer) {
	d, why := p.patience()
	switch {
	case why == Reason{}:
	case p.touched+d > p.relay.loop.Now():
		p.arm()
	case why != ServerTimeoutConn:
		p.finish(why, nil)
	case p.another(ErrConnectTimeout):
		p.connect()
	}
}

// finish ends the pair and tells the owner.
func (p *Pair) finish(why Reason, cause error) {
	r := p.relay
	r.loop.StopTimer(&p.timer)
	client, server := farewell(why, p.Held() > 0)
	p.client.close(client)
	p.server.close(server)
	r.open.Add(-1)
	p.owner.Ended(p, End{Reason: why, Cause: cause, ToServer: p.client.bytes, ToClient: p.server.bytes, Connect: p.took, Total: p.Age()})
	r.give(p)
}

// close closes a connection, by RST if that is wanted, and gives back what it had borrowed.
func (s *side) close(reset bool) {
	s.drop()
	if !s.source.Active() {
		return
	}
	if reset {
		_ = nonblock.SetReset(s.source.FD())
	}
	s.pair.relay.loop.Close(&s.source)
}
