package l7

import (
	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/http1"
	"github.com/truepacs/balancer/dataplane/http2"
	"github.com/truepacs/balancer/dataplane/relay"
)

// h2stream is a request that came over HTTP/2. It writes it as an HTTP/1.1 head, so that what follows is the same for
// both: routes, servers, the strictness of package http1.
type h2stream struct {
	client
	conn  *h2conn       // nil: unused
	http2 *http2.Stream // nil: over
	req   http1.Request
	x     exchange
	head  []byte // the request's
	early reply  // what it is answered without having been looked at, if it has a status

	begun   bool
	queued  bool     // in conn.ready
	ended   bool     // all of the request has come
	lost    bool     // the client does not want the answer any more
	sock    bool     // a WebSocket is asked for, RFC 8441
	said    bool     // the head of the answer was sent
	done    bool     // the end of the answer was sent
	key     [24]byte // of the WebSocket
	backlog backlog
	tail    []byte // trailers of the request, as field lines

	next, prev *h2stream // among those of the connection
}

var (
	_ front = (*h2stream)(nil)
)

// spareHead is the largest memory for a head that an unused stream keeps.
const spareHead = 4 << 10

// accept takes a request.
func (m *h2conn) accept(hs *http2.Stream, r *http2.Request, end bool) {
	c := m.conn
	s := reuse(&c.w.spareStreams)
	*s = h2stream{client: c.client, conn: m, http2: hs, ended: end, req: s.req, x: s.x, head: s.head[:0], backlog: s.backlog, tail: s.tail[:0]}
	s.client.timer = eventloop.Timer{To: &s.client}
	s.client.waker = s
	hs.Owner = s
	if s.next = m.open; s.next != nil {
		s.next.prev = s
	}
	m.open = s
	s.read(r, end)
	m.rouse(s)
}

// read brings a request into the canonical form.
func (s *h2stream) read(r *http2.Request, end bool) {
	s.req.Reset()
	if r.TooLarge {
		s.early = replyTooLarge
		return
	}
	s.head = s.appendRequest(s.head, r, end)
	n, err := s.req.Parse(s.head, http1.Limits{})
	if err == nil && n != len(s.head) {
		err = errTooMuch
	}
	if err != nil {
		s.w.engine.cfg.Log.V(1).Info("request refused", "listener", s.listener.name, "client", string(s.peerText), "cause", err.Error())
		s.early = refusal(err)
	}
}

// Again has the stream go on in a turn of its own.
func (s *h2stream) Again() {
	s.conn.rouse(s)
	s.conn.conn.stream.Again()
}

// run implements holder.
func (s *h2stream) run() {
	m := s.conn
	s.step()
	m.sendSoon()
}

// step goes on with what can go on. A request that its client gave up before its turn is not begun.
func (s *h2stream) step() {
	switch {
	case s.lost && s.begun:
		s.x.lostClient()
	case s.lost:
		s.finish()
		return
	case !s.begun:
		s.begin()
	}
	if s.x.run(); s.x.stage == over {
		s.finish()
	}
}

// begin begins to serve the request.
func (s *h2stream) begin() {
	s.begun = true
	s.listener.count(s.w).requests.Add(1)
	if s.early.status != 0 {
		s.x.refuse(&s.client, s, &s.req, &s.early, relay.Reason{'P', 'R'})
		return
	}
	s.x.start(&s.client, s, &s.req)
}

// kill implements holder.
func (s *h2stream) kill() {
	if s.conn == nil {
		return
	}
	if s.begun {
		s.x.discard()
	}
	s.finish()
}

// finish ends the stream. One whose answer is not complete is reset, so that nobody takes it for that; one whose
// request is not complete too, so that the client need not send the rest (RFC 9113 section 8.1).
func (s *h2stream) finish() {
	m := s.conn
	if s.begun {
		s.x.account()
	}
	switch hs := s.http2; {
	case hs == nil:
	case s.done:
		hs.Reset(http2.NoError)
	default:
		hs.Reset(http2.InternalError)
	}
	s.w.loop.StopTimer(&s.timer)
	s.backlog.drop(s.w.loop)
	if s.next != nil {
		s.next.prev = s.prev
	}
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		m.open = s.next
	}
	s.next, s.prev, s.conn, s.http2 = nil, nil, nil, nil
	if cap(s.head) > spareHead {
		s.head = nil
	}
	spare(&s.w.spareStreams, s)
}

// parted lets go of the stream if both sides have said all and it was taken: its memory serves the next then.
func (s *h2stream) parted() {
	if s.done && s.ended && s.backlog.size == 0 {
		s.http2 = nil
	}
}

// upload implements front.
func (s *h2stream) upload(http1.Framing) source { return (*h2upload)(s) }

// download implements front.
func (s *h2stream) download(bool) sink { return (*h2download)(s) }

// delivery implements front.
func (s *h2stream) delivery() delivery { return inFrames }

// released implements front: the head is small, and its memory serves the next stream.
func (s *h2stream) released() {}
