package l7

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/model"
)

// Engine is a layer 7 proxy. Its methods may be called from several goroutines, but not on its event loops.
type Engine struct {
	cfg      Config
	group    *eventloop.Group
	failed   error // why there are no loops
	workers  []*worker
	log      *journal
	tickets  *tickets
	open     census
	draining atomic.Bool
	close    sync.Once

	mu        sync.Mutex
	state     *state
	listeners map[string]*listener
	verdicts  map[ServerKey]bool
}

// New makes an engine without listeners, with one event loop per core (GOMAXPROCS). Close ends it. Where the host
// has no descriptors left for loops, Apply says so.
func New(cfg Config) *Engine {
	e := &Engine{
		cfg: cfg.withDefaults(), state: emptyState(),
		listeners: map[string]*listener{}, verdicts: map[ServerKey]bool{},
	}
	e.log = newJournal(e.cfg.AccessLog, e.cfg.Log)
	e.tickets = newTickets(e.cfg.TicketKeyLife, e.renewTickets)
	if e.group, e.failed = eventloop.New(eventloop.Config{Log: e.cfg.Log}); e.failed != nil {
		return e
	}
	for _, l := range e.group.Loops() {
		e.workers = append(e.workers, newWorker(e, l))
	}
	return e
}

// ErrDraining refuses a configuration after Drain or Close.
var ErrDraining = errors.New("the proxy is draining and takes no configuration: give it to the proxy that replaces it")

// Apply makes the engine serve a configuration in place of the one before.
//
// All of it is checked first. On an error nothing has changed; the error joins one
// *model.ItemError for each mistake, with the name of its listener or pool.
//
// sockets holds the listening sockets of listeners that do not run yet, by Listener.Name. The
// engine owns those it takes and closes them when their listener is removed; it leaves all
// others, also those of listeners that run already, to the caller.
//
// Established connections are never cut. Requests that come later on them follow the new
// configuration; connections of a removed listener are answered with Connection: close; the
// connections to a removed server go on until they end. New certificates count from the next
// handshake.
func (e *Engine) Apply(proxy model.Proxy, sockets map[string]net.Listener) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining.Load() {
		return ErrDraining
	}
	if e.failed != nil {
		return fmt.Errorf("configuration %d of the proxy: %w", proxy.Generation, e.failed)
	}
	after, err := e.compile(proxy)
	if err != nil {
		return fmt.Errorf("configuration %d of the proxy: %w", proxy.Generation, err)
	}
	if err := e.checkSockets(after, sockets); err != nil {
		return fmt.Errorf("configuration %d of the proxy: %w", proxy.Generation, err)
	}
	fresh, err := e.listenAll(after, sockets)
	if err != nil {
		return fmt.Errorf("configuration %d of the proxy: %w", proxy.Generation, err)
	}
	e.commit(after, fresh)
	return nil
}

// listenAll begins to accept where nobody does yet; on an error nowhere.
func (e *Engine) listenAll(after *state, sockets map[string]net.Listener) (map[string]*listener, error) {
	fresh := map[string]*listener{}
	for name, s := range after.services {
		if e.listeners[name] != nil {
			continue
		}
		l, err := e.listen(s, sockets[name])
		if err != nil {
			for _, l := range fresh {
				l.stop()
			}
			return nil, err
		}
		fresh[name] = l
	}
	for name := range fresh {
		_ = sockets[name].Close() // its duplicate is what accepts
	}
	return fresh, nil
}

func (e *Engine) checkSockets(after *state, sockets map[string]net.Listener) error {
	var errs []error
	for name, s := range after.services {
		running := e.listeners[name]
		switch {
		case running == nil && sockets[name] == nil:
			errs = append(errs, refuse(name, "no listening socket was given for %s: pass one with the configuration", s.address))
		case running != nil && running.service.Load().address != s.address:
			errs = append(errs, refuse(name, "its address changed from %s to %s: give the listener of another address another name", running.service.Load().address, s.address))
		}
	}
	return errors.Join(errs...)
}

// commit puts a compiled configuration into use; it cannot fail.
func (e *Engine) commit(after *state, fresh map[string]*listener) {
	before := e.state
	e.state = after
	for key, s := range before.servers {
		if after.servers[key] != s {
			delete(e.verdicts, key)
		}
	}
	for name, s := range after.services {
		if l := e.listeners[name]; l != nil {
			l.service.Store(s)
			continue
		}
		e.listeners[name] = fresh[name]
	}
	for name, l := range e.listeners {
		if after.services[name] == nil {
			l.stop()
			delete(e.listeners, name)
		}
	}
	for key, end := range before.endpoints {
		if after.endpoints[key] == nil {
			e.retire(end)
		}
	}
}

// retire closes the unused connections to an endpoint and has none kept from now on.
func (e *Engine) retire(end *endpoint) {
	for i, w := range e.workers {
		w.loop.Do(func() { end.idle[i].retire() })
	}
}

// Tickets returns the secrets of TLS session tickets, newest first, for the engine that replaces this one.
func (e *Engine) Tickets() []model.TicketSecret { return e.tickets.list() }

// SetTickets takes the secrets of the engine before this one, so that its clients take their sessions up again.
func (e *Engine) SetTickets(list []model.TicketSecret) {
	if e.tickets.adopt(list) {
		e.renewTickets()
	}
}

// renewTickets gives every listener the keys that follow from new secrets.
func (e *Engine) renewTickets() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.state.services {
		if s.tls != nil {
			s.tls.SetSessionTicketKeys(e.tickets.keys(s.tickets))
		}
	}
}

// Running tells whether a listener runs, so that Apply needs no socket for it.
func (e *Engine) Running(listener string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.listeners[listener] != nil
}

// SetHealth tells the verdict on a server. New requests and connections avoid an unhealthy one
// at once; those in progress go on. A server without verdict counts as healthy. A verdict lasts
// until the next, also over Apply, unless the server is removed or its address changes; it may
// come before the configuration that has the server.
func (e *Engine) SetHealth(pool, server string, healthy bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := ServerKey{pool, server}
	e.verdicts[key] = healthy
	s := e.state.servers[key]
	if s == nil || s.healthy.Swap(healthy) == healthy {
		return
	}
	e.state.pools[pool].refresh()
}

// Drain stops accepting for good and returns when the last connection has ended, or with an error
// when ctx has. Requests in progress end as they would; each answer says Connection: close; idle
// client connections are kept for Timeouts.DrainIdle, in case a request is on its way. TCP and
// upgraded connections go on until their ends close them. The caller cuts what is left by Close.
func (e *Engine) Drain(ctx context.Context) error {
	e.stopAccepting()
	e.settle()
	for _, w := range e.workers {
		w.loop.Do(w.hurry)
	}
	select {
	case <-e.open.none():
		e.retireAll()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d client connections were still open when the time to drain was over: %w", e.open.n.Load(), ctx.Err())
	}
}

// Close stops accepting, cuts every connection and returns when nothing runs any more.
func (e *Engine) Close() {
	e.stopAccepting()
	e.close.Do(func() {
		e.tickets.stop()
		if e.group == nil {
			e.log.close(nil)
			return
		}
		e.group.Close()
		for _, w := range e.workers {
			w.secure.Close()
		}
		e.log.close(e.workers)
	})
}

func (e *Engine) stopAccepting() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.draining.Store(true)
	for _, l := range e.listeners {
		l.stop()
	}
}

// settle returns when every loop has seen the connections that were accepted so far. Twice, because a loop runs
// what it is told before it takes connections that were handed to it at the same time.
func (e *Engine) settle() {
	for range 2 {
		for _, w := range e.workers {
			done := make(chan struct{})
			if w.loop.Do(func() { close(done) }) {
				<-done
			}
		}
	}
}

func (e *Engine) retireAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, end := range e.state.endpoints {
		e.retire(end)
	}
	e.settle()
}
