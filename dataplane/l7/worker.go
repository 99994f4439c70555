package l7

import (
	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/proxyproto"
	"github.com/truepacs/balancer/dataplane/relay"
	"github.com/truepacs/balancer/dataplane/stream"
)

// spareConns is how many connections of a kind that ended are kept for the next.
const spareConns = 256

// worker is what the engine has on one loop. All of it belongs to the loop.
type worker struct {
	engine   *Engine
	loop     *eventloop.Loop
	relay    *relay.Relay
	settings relay.Settings
	secure   *stream.Shared
	page     page
	http     *httpConn // open ones, linked

	spareHTTP      []*httpConn
	spareTurns     []*turn
	spareStreams   []*h2stream
	spareUpstreams []*upstream
	sparePairs     []*pair
	spareGreetings []*greeting
	spareOrigins   []*origin
	header         [proxyproto.MaxAppended]byte // the PROXY protocol header that is being sent
}

func newWorker(e *Engine, l *eventloop.Loop) *worker {
	t := e.cfg.Timeouts
	w := &worker{engine: e, loop: l, relay: relay.New(l), secure: stream.NewShared()}
	w.settings = relay.Settings{Connect: t.Connect, ClientIdle: t.Transfer, ServerIdle: t.Transfer, HalfClosed: t.HalfClosed, Server: keepalive}
	w.page = page{journal: e.log, loop: l}
	w.page.timer.To = &w.page
	return w
}

// target is how a server is reached.
func (w *worker) target(end *endpoint) relay.Target {
	to := relay.Target{Server: end.to}
	if w.engine.cfg.Source != nil {
		to.Source = w.engine.cfg.Source(end.to)
	}
	return to
}

// of is where the worker counts what a server does.
func (w *worker) of(s *server) *serverCounters { return &s.cells[w.loop.Index()%shards] }

// hurry gives idle client connections little time for one more request.
func (w *worker) hurry() {
	for c := w.http; c != nil; c = c.next {
		switch {
		case c.h2 != nil:
			c.stream.Again()
		case c.idle():
			c.phase(w.engine.cfg.Timeouts.DrainIdle)
		}
	}
}

// spare keeps x in list for the next.
func spare[T any](list *[]*T, x *T) {
	if len(*list) < spareConns {
		*list = append(*list, x)
	}
}

// reuse takes the last of list, or makes one.
func reuse[T any](list *[]*T) *T {
	n := len(*list)
	if n == 0 {
		return new(T)
	}
	x := (*list)[n-1]
	(*list)[n-1] = nil
	*list = (*list)[:n-1]
	return x
}
