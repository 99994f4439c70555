package keeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/truepacs/balancer/dataplane/model"
)

// reconnectAfter is how long a proxy waits before it looks for its agent again. An agent that
// starts anew needs its sockets back before it can serve a changed configuration.
const reconnectAfter = 200 * time.Millisecond

// Handler is the proxy behind a Client; it is called by one goroutine.
type Handler interface {
	// Apply runs a configuration. sockets has one for each listener. An error says why the
	// configuration is refused as a whole; the one before stays.
	Apply(proxy model.Proxy, sockets map[netip.AddrPort]*Socket) error
	// Drain tells that a newer proxy took over: accept nothing more. It is called again and again.
	Drain()
	// Tickets returns the secrets of TLS session tickets that the proxy uses, newest first.
	Tickets() []model.TicketSecret
	// SetTickets gives the proxy those of the one before it.
	SetTickets(list []model.TicketSecret)
	// Status returns what the proxy sees; Client fills in Generation and Refused.
	Status() Status
}

// ClientConfig configures a Client.
type ClientConfig struct {
	// Log takes what an engineer needs.
	Log logr.Logger
	// Path is the agent's unix socket.
	Path string
	// ProxyVersion is the version of this program.
	ProxyVersion string
	// ReportEvery is the longest time between two status reports. Absent: 1 s.
	ReportEvery time.Duration
}

// Client is the proxy's side. It holds the sockets while no agent is there and finds the agent
// again when it comes back.
type Client struct {
	cfg     ClientConfig
	handler Handler
	started time.Time

	mu         sync.Mutex
	store      store
	generation uint64
	refused    string
	told       Status               // last
	toldAt     time.Time            // when it was sent in full
	tickets    []model.TicketSecret // that this agent knows of
	configured bool                 // this agent has sent a configuration, and before it the tickets that it had
}

// NewClient makes a Client; Run starts it.
func NewClient(cfg ClientConfig, handler Handler) *Client {
	if cfg.ReportEvery <= 0 {
		cfg.ReportEvery = time.Second
	}
	return &Client{cfg: cfg, handler: handler, started: time.Now(), store: store{}}
}

// Run serves the agent until ctx ends.
func (c *Client) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := c.session(ctx); err != nil && ctx.Err() == nil {
			c.cfg.Log.V(1).Info("no agent", "path", c.cfg.Path, "cause", err.Error())
		}
		select {
		case <-ctx.Done():
		case <-time.After(reconnectAfter):
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store.closeAll()
}

// session serves one connection to the agent.
func (c *Client) session(ctx context.Context) error {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: c.cfg.Path, Net: "unix"})
	if err != nil {
		return err
	}
	defer conn.Close()
	w := &wire{conn: conn}
	if err := c.introduce(w); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var reporting sync.WaitGroup
	defer reporting.Wait()
	defer cancel()
	reporting.Go(func() { c.report(ctx, w) })
	for {
		m, sockets, err := w.receive()
		if err != nil {
			return err
		}
		if err := c.handle(w, m, sockets); err != nil {
			return err
		}
	}
}

func (c *Client) introduce(w *wire) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.toldAt, c.tickets, c.configured = time.Time{}, nil, false // this agent knows nothing yet
	if err := w.sendSockets(c.store.missing(nil)); err != nil {
		return err
	}
	return w.send(message{Kind: kindHello, Hello: &hello{
		Version: Version, ProxyVersion: c.cfg.ProxyVersion, Started: c.started, PID: os.Getpid(),
	}})
}

func (c *Client) handle(w *wire, m message, sockets []*Socket) error {
	c.mu.Lock()
	c.store.add(sockets)
	c.mu.Unlock()
	switch m.Kind {
	case kindConfig:
		if m.Config == nil {
			return fmt.Errorf("agent sent an empty configuration")
		}
		c.apply(*m.Config)
		return errors.Join(c.sendStatus(w), c.sendTickets(w))
	case kindTickets:
		c.handler.SetTickets(m.Tickets)
	case kindDrain:
		c.handler.Drain()
	}
	return nil
}

func (c *Client) apply(proxy model.Proxy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.configured = true
	if c.handler.Status().Draining { // it is for the proxy that took over
		c.store.closeOthers(proxy.Listeners) // a port that is held here would seem to listen, and could not be bound again
		return
	}
	err := c.handler.Apply(proxy, c.store)
	if err != nil {
		c.refused = err.Error()
		c.cfg.Log.Error(err, "configuration is refused, the one before goes on")
		return
	}
	c.generation, c.refused = proxy.Generation, ""
	c.store.closeOthers(proxy.Listeners)
}

func (c *Client) report(ctx context.Context, w *wire) {
	tick := time.NewTicker(c.cfg.ReportEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if c.sendNews(w) != nil || c.sendTickets(w) != nil {
				return
			}
		}
	}
}

// sendStatus sends all of the status.
func (c *Client) sendStatus(w *wire) error {
	status := c.status()
	c.mu.Lock()
	c.told, c.toldAt = status, time.Now()
	c.mu.Unlock()
	return w.send(message{Kind: kindStatus, Status: &status})
}

// inFull is how often, in reports, a status without news is sent in full all the same: an agent of an
// older version knows no other.
const inFull = 10

// sendNews sends all of the status if something is new, else only that the proxy lives: a thousand
// verdicts are much to write and to read each second.
func (c *Client) sendNews(w *wire) error {
	status := c.status()
	c.mu.Lock()
	news := status.differs(c.told) || time.Since(c.toldAt) > inFull*c.cfg.ReportEvery
	c.mu.Unlock()
	if news {
		return c.sendStatus(w)
	}
	return w.send(message{Kind: kindAlive, Status: &Status{Connections: status.Connections}})
}

// sendTickets sends the secrets of tickets if the agent does not know them; not before it has told its own.
func (c *Client) sendTickets(w *wire) error {
	now := c.handler.Tickets()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.configured || slices.EqualFunc(now, c.tickets, model.TicketSecret.Equal) {
		return nil
	}
	c.tickets = now
	return w.send(message{Kind: kindTickets, Tickets: now})
}

func (c *Client) status() Status {
	status := c.handler.Status()
	c.mu.Lock()
	defer c.mu.Unlock()
	status.Generation, status.Refused = c.generation, c.refused
	return status
}
