package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/truepacs/balancer/dataplane/checks"
	"github.com/truepacs/balancer/dataplane/keeper"
	"github.com/truepacs/balancer/dataplane/l7"
	"github.com/truepacs/balancer/dataplane/model"
)

// Config configures a proxy.
type Config struct {
	// Log takes what an engineer needs.
	Log logr.Logger
	// Socket is the agent's unix socket.
	Socket string
	// Version is the version of this program.
	Version string
	// AccessLog gets one line for each request or connection.
	AccessLog io.Writer
	// DrainLimit is how long open connections may go on after the proxy was told to stop.
	// Absent: 30 minutes.
	DrainLimit time.Duration
	// ExitWhenReplaced ends the program once a newer proxy took over and the last connection is
	// gone. In a pod that would start it anew, so there it stays until it is told to stop.
	ExitWhenReplaced bool
}

// Proxy is the proxy role. Make it with New.
type Proxy struct {
	handler *handler
	client  *keeper.Client
}

// New makes a Proxy; Run starts it.
func New(cfg Config) *Proxy {
	if cfg.DrainLimit <= 0 {
		cfg.DrainLimit = 30 * time.Minute
	}
	h := newHandler(cfg)
	client := keeper.NewClient(keeper.ClientConfig{Log: cfg.Log, Path: cfg.Socket, ProxyVersion: cfg.Version}, h)
	return &Proxy{handler: h, client: client}
}

// Ready tells whether the proxy serves a configuration, with a word for people.
func (p *Proxy) Ready() (ready bool, state string) {
	if p.handler.applied.Load() {
		return true, "active"
	}
	return false, "waiting for the agent"
}

// Replaced is closed when a newer proxy took over. With ExitWhenReplaced, Run then returns as
// soon as the last connection is gone.
func (p *Proxy) Replaced() <-chan struct{} { return p.handler.replaced }

// Run serves until ctx ends and then drains.
func (p *Proxy) Run(ctx context.Context) error {
	h := p.handler
	defer h.checks.Close()
	defer h.engine.Close()
	session, leave := context.WithCancel(context.WithoutCancel(ctx))
	gone := make(chan struct{})
	go func() { defer close(gone); p.client.Run(session) }()
	defer func() { leave(); <-gone }()
	select {
	case <-ctx.Done():
	case <-h.replaced:
		if !h.cfg.ExitWhenReplaced {
			<-ctx.Done()
		}
	}
	return h.drain(context.WithoutCancel(ctx))
}

// handler is the engine as the keeper sees it.
type handler struct {
	cfg      Config
	engine   *l7.Engine
	checks   *checks.Checks
	names    map[string]bool // listeners that the engine runs
	applied  atomic.Bool
	draining atomic.Bool
	replaced chan struct{}
}

var _ keeper.Handler = (*handler)(nil)

func newHandler(cfg Config) *handler {
	h := &handler{
		cfg: cfg, names: map[string]bool{}, replaced: make(chan struct{}),
		engine: l7.New(l7.Config{Log: cfg.Log, AccessLog: cfg.AccessLog}),
	}
	h.checks = checks.New(cfg.Log, h.judge)
	return h
}

// judge passes a verdict to the engine.
func (h *handler) judge(key string, v model.Verdict) {
	if !v.Known {
		return // a server counts as healthy until the checks have decided
	}
	if slash := strings.LastIndexByte(key, '/'); slash > 0 {
		h.engine.SetHealth(key[:slash], key[slash+1:], v.Healthy)
	}
}

// Apply implements keeper.Handler.
func (h *handler) Apply(proxy model.Proxy, sockets map[netip.AddrPort]*keeper.Socket) error {
	fresh, err := h.open(proxy.Listeners, sockets)
	if err == nil {
		err = h.engine.Apply(proxy, fresh)
	}
	if err != nil {
		for _, l := range fresh {
			l.Close()
		}
		return err
	}
	h.names = map[string]bool{}
	for _, l := range proxy.Listeners {
		h.names[l.Name] = true
	}
	h.checks.Set(proxy.Targets, nil)
	h.applied.Store(true)
	return nil
}

// open makes a listener for each name that the engine does not run yet.
func (h *handler) open(wanted []model.Listener, sockets map[netip.AddrPort]*keeper.Socket) (map[string]net.Listener, error) {
	fresh := map[string]net.Listener{}
	for _, l := range wanted {
		if h.names[l.Name] {
			continue
		}
		socket := sockets[l.Address]
		if socket == nil {
			return fresh, fmt.Errorf("no socket for %s was passed", l.Address)
		}
		listener, err := socket.Listener()
		if err != nil {
			return fresh, err
		}
		fresh[l.Name] = listener
	}
	return fresh, nil
}

// Drain implements keeper.Handler: a newer proxy took over.
func (h *handler) Drain() {
	select {
	case <-h.replaced:
	default:
		h.cfg.Log.Info("a newer proxy took over, no new connections are accepted")
		close(h.replaced)
		go func() { _ = h.drain(context.Background()) }()
	}
}

// drain stops accepting and waits for the open connections, at most DrainLimit.
func (h *handler) drain(ctx context.Context) error {
	h.draining.Store(true)
	ctx, cancel := context.WithTimeout(ctx, h.cfg.DrainLimit)
	defer cancel()
	err := h.engine.Drain(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		h.cfg.Log.Info("time to drain is over, the last connections are cut", "after", h.cfg.DrainLimit)
		h.engine.Close()
		return nil
	}
	return err
}

// Tickets implements keeper.Handler.
func (h *handler) Tickets() []model.TicketSecret { return h.engine.Tickets() }

// SetTickets implements keeper.Handler.
func (h *handler) SetTickets(list []model.TicketSecret) { h.engine.SetTickets(list) }

// Status implements keeper.Handler.
func (h *handler) Status() keeper.Status {
	return keeper.Status{Verdicts: h.checks.Verdicts(), Connections: h.engine.Connections(), Draining: h.draining.Load()}
}
