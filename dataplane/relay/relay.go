package relay

import (
	"errors"
	"net/netip"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/nonblock"
)

// ErrConnectTimeout is the cause when a server did not answer within Settings.Connect.
var ErrConnectTimeout = errors.New("relay: the server did not answer in time: check that it runs, its address, and the firewalls on the way")

// Owner is told about its pairs, on the loop.
type Owner interface {
	// Unreachable asks for another server after one could not be reached; false: give up.
	Unreachable(p *Pair, cause error) (Target, bool)
	// Preface is what the server is sent ahead of the client's bytes, at most a few hundred bytes; nil: nothing. It is asked
	// for when a server has been reached, and may be overwritten after that.
	Preface(p *Pair) []byte
	// Reached tells that the pair is joined to its Target.
	Reached(p *Pair)
	// Ended tells that a pair has ended. It is not to be used after that.
	Ended(p *Pair, end End)
}

// Totals are the sums over all pairs of a Relay, open ones included.
type Totals struct {
	Joined, Open       int64
	ToServer, ToClient int64
}

// sparePairs is how many pairs that ended are kept for the next.
const sparePairs = 1024

// Relay joins connections on one loop.
type Relay struct {
	loop  *eventloop.Loop
	pairs *Pair   // open ones
	spare []*Pair // ended ones

	joined, open, toServer, toClient atomic.Int64
}

// New makes the relay of a loop.
func New(l *eventloop.Loop) *Relay { return &Relay{loop: l} }

// Join connects to a server and relays between it and a client's connection, which is the relay's from now on. The
// end, also an early one, is told to the owner; that may be before Join returns.
func (r *Relay) Join(client int, to Target, s *Settings, o Owner) {
	p := r.take()
	p.settings, p.owner, p.target, p.began, p.touched, p.took = s, o, to, r.loop.Now(), r.loop.Now(), -1
	r.joined.Add(1)
	r.open.Add(1)
	err := s.Client.Apply(client)
	if err == nil {
		err = r.loop.Add(&p.client.source, client, &p.client, eventloop.Readable)
	}
	if err != nil {
		_ = nonblock.SetReset(client)
		_ = nonblock.Close(client)
		p.finish(ResourceConnecting, err)
		return
	}
	p.connect()
}

// Totals may be called from any goroutine.
func (r *Relay) Totals() Totals {
	return Totals{Joined: r.joined.Load(), Open: r.open.Load(), ToServer: r.toServer.Load(), ToClient: r.toClient.Load()}
}

// Each visits the open pairs, on the loop. The visitor may end the one it is given.
func (r *Relay) Each(visit func(*Pair)) {
	for p := r.pairs; p != nil; {
		next := p.next
		visit(p)
		p = next
	}
}

func (r *Relay) take() (p *Pair) {
	if n := len(r.spare); n > 0 {
		p, r.spare = r.spare[n-1], r.spare[:n-1]
	} else {
		p = new(Pair)
	}
	*p = Pair{relay: r, next: r.pairs}
	p.timer.To = p
	p.client.pair, p.server.pair = p, p
	if r.pairs != nil {
		r.pairs.prev = p
	}
	r.pairs = p
	return p
}

func (r *Relay) give(p *Pair) {
	if p.next != nil {
		p.next.prev = p.prev
	}
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		r.pairs = p.next
	}
	*p = Pair{}
	if len(r.spare) < sparePairs {
		r.spare = append(r.spare, p)
	}
}

// connect tries servers until a connect is under way, or the owner gives up.
func (p *Pair) connect() {
	l := p.relay.loop
	for {
		fd, err := p.target.Dial(p.settings.Server)
		if err == nil {
			if err = l.Add(&p.server.source, fd, &p.server, eventloop.Readable|eventloop.Writable); err == nil {
				p.touched = l.Now()
				p.arm()
				return
			}
			_ = nonblock.Close(fd)
			err = errors.Unwrap(err)
		}
		if !p.another(err) {
			return
		}
	}
}

// another asks the owner for another server; false: the pair has ended.
func (p *Pair) another(cause error) bool {
	p.relay.loop.Close(&p.server.source)
	to, ok := p.owner.Unreachable(p, cause)
	if !ok {
		p.finish(Unreached(cause), cause)
		return false
	}
	p.target = to
	return true
}

// connecting is told what became of a connect.
func (p *Pair) connecting(events eventloop.Events) {
	cause, failed := nonblock.GetError(p.server.source.FD())
	switch {
	case failed != nil:
		cause = failed
	case cause == nil && events&eventloop.Writable == 0:
		return
	case cause == nil:
		cause = p.introduce()
	}
	if cause != nil {
		if p.another(cause) {
			p.connect()
		}
		return
	}
	p.touched = p.relay.loop.Now()
	p.took = p.touched - p.began
	p.owner.Reached(p)
	p.server.note(events)
	if p.pump(&p.client) && p.pump(&p.server) {
		p.arm()
	}
}

// introduce sends the preface. One that cannot be sent is a server not reached.
func (p *Pair) introduce() error {
	preface := p.owner.Preface(p)
	if len(preface) == 0 {
		return nil
	}
	return nonblock.SendWhole(p.server.source.FD(), preface)
}

// Client is the client's address and the one it connected to; zero AddrPorts if the client is gone.
func (p *Pair) Client() (client, at netip.AddrPort) {
	client, _ = nonblock.Peer(p.client.source.FD())
	at, _ = nonblock.Local(p.client.source.FD())
	return client, at
}

// Target is the server that the pair is joined to, or tries to reach.
func (p *Pair) Target() Target { return p.target }

// Source is the address the server sees; the zero AddrPort before it is reached.
func (p *Pair) Source() netip.AddrPort {
	if !p.server.source.Active() {
		return netip.AddrPort{}
	}
	at, _ := nonblock.Local(p.server.source.FD())
	return at
}

// gone says whether an error means that the peer broke off.
func gone(err error) bool { return err != nil && err != unix.EAGAIN }
