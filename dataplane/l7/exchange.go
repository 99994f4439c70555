package l7

import (
	"io"
	"time"

	"github.com/truepacs/balancer/dataplane/http1"
	"github.com/truepacs/balancer/dataplane/relay"
	"github.com/truepacs/balancer/dataplane/stream"
)

// front is where a request came from and its answer goes to: an HTTP/1 connection, or a stream of an HTTP/2 one, which
// writes its request as an HTTP/1.1 head for that.
type front interface {
	holder
	// upload is what the client sends: the request's content, or all of it from now on (http1.UntilClose); download
	// takes what it gets.
	upload(f http1.Framing) source
	download(chunked bool) sink
	// delivery says how the client is told the end of a body that comes without length.
	delivery() delivery
	// released says that the request's head is not needed any more.
	released()
	// agrees says whether the client can be given the response.
	agrees(r *http1.Response) bool
	// appendHead appends the head of the answer, appendInterim that of one before it, appendSwitch that of a 101, and
	// appendReply a whole answer of the proxy itself. What goes to the client in another way is not appended.
	appendHead(dst []byte, r *http1.Response, chunked bool) []byte
	appendInterim(dst []byte, r *http1.Response) []byte
	appendSwitch(dst []byte, r *http1.Response) []byte
	appendReply(dst []byte, r *reply) []byte
}

// delivery is how an end without length is told.
type delivery int

const (
	inChunks  delivery = iota // by the chunked coding
	byClosing                 // by the end of the connection
	inFrames                  // by what carries the content
)

// stage is how far an exchange has come.
type stage int

const (
	resting    stage = iota // there is none
	seeking                 // a server is being reached
	waiting                 // the request is on its way, the answer has not begun
	relaying                // the answer is on its way
	tunnelling              // the connection carries another protocol
	over
)

// exchange is one request with its response: from its canonical form to a server and back. It does not know how
// the client speaks. run goes on with everything that can go on, whichever side was told something.
type exchange struct {
	client *client
	front  front
	req    *http1.Request
	seat   seat
	up     flow // to the server, through wire
	down   flow // to the client, from body
	wire   wire
	body   body
	tunnel tunnel
	stage  stage

	began   time.Duration
	route   *route
	matched int // length of the route's prefix
	path    []byte
	method  method

	keep       bool // the client connection outlives the exchange
	stuck      bool // it must be fed on for a while, or the client misses the answer
	torn       bool // it must end by a reset, or the client takes the answer for complete
	cookie     bool // the browser knows its server
	sending    bool // content of the request is on its way
	cut        bool // and did not arrive in full
	upgrade    bool // the request asks for another protocol
	going      bool // the 100 (Continue) was passed on
	interim    bool // the client has seen an answer before the answer
	again      bool // the request is sent for the second time
	unsent     bool // the rest of the request is not wanted
	endless    bool // the end of the answer is told by the end of the connection
	serverOK   bool // the server keeps its connection
	answered   bool // by the proxy itself
	status     int
	server     string // that answered
	code       relay.Reason
	failed     bool
	idempotent bool // and without content: it may be sent again
}

// begin makes the exchange that of a request.
func (x *exchange) begin(c *client, f front, req *http1.Request) {
	now := c.w.loop.Now()
	*x = exchange{
		client: c, front: f, req: req, began: now, path: x.path[:0], code: relay.Normal,
		seat: seat{client: c, seeker: x, holder: f, tried: x.seat.tried[:0], began: now, took: -1},
	}
}

// start serves the request whose head was read.
func (x *exchange) start(c *client, f front, req *http1.Request) {
	x.begin(c, f, req)
	x.keep = req.KeepAlive()
	x.method = methodOf(req.Bytes(req.Method))
	x.idempotent = req.Body.Kind == http1.NoBody && req.Idempotent()
	c.phase(c.w.engine.cfg.Timeouts.Transfer)
	c.renew()
	x.dispatch()
}

// refuse answers what is no request.
func (x *exchange) refuse(c *client, f front, req *http1.Request, r *reply, code relay.Reason) {
	x.begin(c, f, req)
	x.stuck, x.code = true, code
	x.answer(r)
}

// method tells what the framing of a response depends on, after the request is gone.
type method string

func (m method) isHead() bool { return m == "HEAD" }

// methodOf returns a method as a constant where it matters, so that nothing is allocated.
func methodOf(b []byte) method {
	if string(b) == "HEAD" {
		return "HEAD"
	}
	return "OTHER"
}

// dispatch finds the route and looks for a server.
func (x *exchange) dispatch() {
	if refused := x.admit(); refused != nil {
		x.code = relay.Reason{'P', 'R'}
		x.answer(refused)
		return
	}
	path := x.req.Bytes(x.req.Path)
	x.route, x.matched = x.client.service.match(path)
	if x.client.w.page.wanted() {
		x.path = appendTemplate(x.path[:0], path, x.matched)
	}
	x.stage = seeking
	x.seat.careful, x.seat.fresh = !x.idempotent, false
	x.seat.seek(x.route.backend, x.wanted())
}

// admit refuses requests that no server should see.
func (x *exchange) admit() *reply {
	if x.req.Form == http1.AuthorityForm {
		return &replyNoConnect
	}
	if len(x.client.service.routes) > 0 && climbs(x.req.Bytes(x.req.Path)) {
		return &replyBadPath
	}
	return nil
}

// wanted returns the healthy server that the persistence cookie names, nil without one.
func (x *exchange) wanted() *endpoint {
	b := x.route.backend
	if b.cookie == nil {
		return nil
	}
	for _, f := range x.req.Fields() {
		if f.ID != http1.Cookie {
			continue
		}
		if t, ok := b.cookie.find(x.req.Bytes(f.Value)); ok {
			if e := b.byToken[t]; e != nil && e.healthy.Load() {
				x.cookie = true
				return e
			}
		}
	}
	return nil
}

// run goes on with what can go on.
func (x *exchange) run() {
	late := x.client.late()
	for {
		before := x.stage
		switch before {
		case seeking:
			if x.seat.making {
				x.seat.made(late)
			}
		case waiting:
			x.wait(late)
		case relaying:
			x.relay(late)
		case tunnelling:
			x.pass(late)
		}
		if x.stage == before {
			return
		}
		late = false
	}
}

// unserved implements seeker. The servers may have been replaced since the request came.
func (x *exchange) unserved(err error) {
	if err == errNoServer && x.client.renew() {
		x.cookie = false
		x.dispatch()
		return
	}
	x.fail(err)
}

// reached implements seeker: it sends the request, with what of its content has come already.
func (x *exchange) reached() {
	x.stage = waiting
	x.client.phase(x.client.w.engine.cfg.Timeouts.Transfer)
	end := x.seat.end
	x.server = end.key.Server
	x.cookie = x.cookie && len(x.seat.tried) == 0
	x.client.w.of(end.server).requests.Add(1)
	x.seat.up.resp.Reset()
	out := x.appendRequest(x.up.buffer(x.client.w.loop))
	x.wire = wire{to: &x.seat.up.stream, chunked: x.req.Body.Kind == http1.Chunked}
	if x.req.Body.Kind == http1.NoBody {
		x.up.begin(nil, &x.wire)
		x.up.hold(out)
		x.forget()
		return
	}
	from := x.front.upload(x.req.Body)
	out, n, done, err := from.inline(out, max(pieceSize-len(out), 0), x.wire.chunked)
	x.up.begin(from, &x.wire)
	x.up.hold(out)
	x.up.took(n, done)
	x.forget()
	if err != nil {
		x.lose(&clientError{err})
		return
	}
	x.sending = true
}

// forget gives the memory of the request's head back, unless it may be sent once more.
func (x *exchange) forget() {
	if !x.repeatable() {
		x.front.released()
	}
}

// repeatable says whether the request may be sent again on another connection.
func (x *exchange) repeatable() bool { return x.idempotent && x.seat.up.reused && !x.again }

// send carries the request on. false: the exchange has taken another turn.
func (x *exchange) send() bool {
	if x.up.over || x.cut {
		return true
	}
	err := x.up.pump(x.client)
	switch {
	case err == nil:
		x.sending = x.sending && !x.up.over
		return true
	case isSource(err) && x.stage == relaying:
		x.tear(&sinkError{err})
		return false
	case isSource(err):
		x.lose(&clientError{err})
		return false
	case x.seat.up.reused && x.stage == waiting && x.up.moved == 0:
		x.lose(err)
		return false
	}
	x.abandon() // the server may have answered before it closed
	return true
}

// abandon gives up the rest of the request. The client connection is of no further use.
func (x *exchange) abandon() {
	x.up.drop(x.client.w.loop)
	x.sending, x.cut = false, true
	if x.req.Body.Kind != http1.NoBody {
		x.keep, x.stuck = false, true
	}
}

// wait sends the request and reads response heads up to the final one.
func (x *exchange) wait(late bool) {
	if late {
		if x.sending && !x.up.holds() {
			x.code = relay.ClientTimeout
		}
		x.lose(errLate)
		return
	}
	for x.stage == waiting && x.send() {
		if x.down.holds() {
			if err := x.down.flush(x.client); err == stream.ErrAgain {
				return
			} else if err != nil {
				x.lose(&clientError{err})
				return
			}
		}
		more, err := x.head()
		if err == stream.ErrAgain {
			return
		}
		if err != nil {
			x.lose(err)
			return
		}
		if !more {
			return
		}
	}
}

// head reads one head; more says that another is due.
func (x *exchange) head() (more bool, err error) {
	up := x.seat.up
	for {
		if len(up.in.buffered()) > 0 {
			n, err := up.resp.Parse(up.in.buffered(), http1.Limits{})
			if err != nil {
				return false, err
			}
			if n > 0 {
				up.in.skip(n)
				x.client.touch()
				return x.judge(up)
			}
		}
		if err := up.in.fill(x.client.w.loop, &up.stream); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return false, err
		}
	}
}

// judge passes interim heads (RFC 9110 section 15.2) on to clients that know them.
func (x *exchange) judge(up *upstream) (more bool, err error) {
	status := up.resp.Status
	switch {
	case status == 101 && !x.upgrade:
		return false, &http1.Error{Status: 502, Reason: "server switches protocols unasked"}
	case !x.front.agrees(&up.resp):
		return false, &http1.Error{Status: 502, Reason: "server does not agree to the WebSocket properly"}
	case status == 101:
		x.switchProtocols()
		return false, nil
	case status >= 200:
		x.deliver()
		return false, nil
	}
	x.going = x.going || status == 100
	if x.req.Minor > 0 {
		x.interim = true
		x.down.begin(nil, x.front.download(false))
		x.down.hold(x.front.appendInterim(x.down.buffer(x.client.w.loop), &up.resp))
	}
	up.resp.Reset()
	return true, nil
}
