package keeper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"reflect"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/truepacs/balancer/dataplane/model"
)

// ServerConfig configures a Server.
type ServerConfig struct {
	// Log takes what an engineer needs.
	Log logr.Logger
	// Path is where the unix socket is made; one that is there is replaced.
	Path string
	// Group owns the unix socket, so that a proxy that is not root may connect; -1: leave it.
	Group int
	// OnChange is called when a proxy connects, leaves, or reports something else than before,
	// counters left out; it must not block.
	OnChange func()
}

// Server is the agent's side. It holds the listening sockets and serves every proxy that
// connects; the one that started last is the current one.
type Server struct {
	cfg ServerConfig

	mu      sync.Mutex
	store   store
	wanted  *model.Proxy // as Set got it; nil: not known yet, every socket offered is kept
	desired *model.Proxy // wanted without the listeners that have no socket
	proxies map[*peer]bool
	tickets []model.TicketSecret // of the current proxy, for the next
}

// peer is one connected proxy.
type peer struct {
	wire
	hello    *hello // nil until said
	has      map[netip.AddrPort]bool
	status   Status
	reported bool // status is what it reported
}

// ProxyState says which proxy is current and what it reports.
type ProxyState struct {
	// Connected says that a proxy is there.
	Connected bool
	// Version is the proxy's version.
	Version string
	// Current says that the proxy runs the newest configuration.
	Current bool
	// Status is what it last reported.
	Status Status
}

// NewServer makes a Server; Run starts it.
func NewServer(cfg ServerConfig) *Server {
	if cfg.OnChange == nil {
		cfg.OnChange = func() {}
	}
	return &Server{cfg: cfg, store: store{}, proxies: map[*peer]bool{}}
}

// Run serves proxies until ctx ends. The listening sockets stay open in the proxies.
func (s *Server) Run(ctx context.Context) error {
	l, err := s.listen()
	if err != nil {
		return fmt.Errorf("listen for the proxy on %s: %w", s.cfg.Path, err)
	}
	stop := context.AfterFunc(ctx, func() { l.Close(); s.closePeers() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := l.AcceptUnix()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept a proxy on %s: %w", s.cfg.Path, err)
		}
		wg.Go(func() { s.serve(conn) })
	}
}

func (s *Server) listen() (*net.UnixListener, error) {
	if err := os.Remove(s.cfg.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.cfg.Path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	// A successor may have made its own socket at Path by the time this one closes.
	l.SetUnlinkOnClose(false)
	if err := s.permit(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (s *Server) permit() error {
	if s.cfg.Group >= 0 {
		if err := os.Chown(s.cfg.Path, -1, s.cfg.Group); err != nil {
			return err
		}
	}
	return os.Chmod(s.cfg.Path, 0o660)
}

func (s *Server) closePeers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.proxies {
		p.conn.Close()
	}
	s.store.closeAll()
}

// serve handles one proxy until it goes.
func (s *Server) serve(conn *net.UnixConn) {
	p := &peer{wire: wire{conn: conn}, has: map[netip.AddrPort]bool{}}
	defer conn.Close()
	s.mu.Lock()
	s.proxies[p] = true
	s.mu.Unlock()
	for {
		m, sockets, err := p.receive()
		if err != nil {
			break
		}
		if err := s.handle(p, m, sockets); err != nil {
			s.cfg.Log.Error(err, "proxy is cut off")
			break
		}
	}
	s.mu.Lock()
	delete(s.proxies, p)
	s.mu.Unlock()
	s.cfg.OnChange()
}

// handle carries out one message and tells of what is new. Sockets are new with the hello that
// follows them.
func (s *Server) handle(p *peer, m message, sockets []*Socket) error {
	news, err := s.take(p, m, sockets)
	if news {
		s.cfg.OnChange()
	}
	return err
}

func (s *Server) take(p *peer, m message, sockets []*Socket) (news bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, socket := range sockets {
		p.has[socket.addr] = true
	}
	s.store.add(sockets)
	switch m.Kind {
	case kindHello:
		return true, s.greet(p, m.Hello)
	case kindStatus:
		return s.note(p, m.Status)
	case kindAlive:
		return false, s.noteAlive(p, m.Status)
	case kindTickets:
		if p == s.current() {
			s.tickets = m.Tickets
		}
	}
	return false, nil // sockets, or a kind of a later version
}

func (s *Server) greet(p *peer, h *hello) error {
	if h == nil || h.Version < Version-1 || h.Version > Version+1 {
		return fmt.Errorf("proxy speaks a protocol version this agent does not know (%+v); "+
			"install agent and proxy of one release", h)
	}
	p.hello = h
	s.cfg.Log.Info("proxy connected", "version", h.ProxyVersion, "pid", h.PID, "sockets", len(p.has))
	if len(s.tickets) > 0 {
		if err := p.send(message{Kind: kindTickets, Tickets: s.tickets}); err != nil {
			return err
		}
	}
	if s.wanted == nil {
		return nil
	}
	if s.refresh() { // it brought sockets that the others lack as well
		s.updateAll()
		return nil
	}
	return s.update(p)
}

// note keeps what a proxy reports; news: it differs from the report before.
func (s *Server) note(p *peer, status *Status) (news bool, err error) {
	if status == nil {
		return false, errors.New("proxy sent an empty status")
	}
	news = !p.reported || status.differs(p.status)
	p.status, p.reported = *status, true
	s.follow(p)
	return news, nil
}

// noteAlive keeps the numbers of a proxy whose report is as before otherwise.
func (s *Server) noteAlive(p *peer, status *Status) error {
	if status == nil {
		return errors.New("proxy sent an empty sign of life")
	}
	p.status.Connections = status.Connections
	s.follow(p)
	return nil
}

// follow drains the others if p is the proxy that should serve.
func (s *Server) follow(p *peer) {
	if p == s.current() && s.runsDesired(p) {
		s.drainOthers(p)
	}
}

func (s *Server) runsDesired(p *peer) bool {
	return s.desired != nil && p.status.Generation == s.desired.Generation && p.status.Refused == ""
}

// drainOthers tells the proxies other than p that they are replaced.
func (s *Server) drainOthers(p *peer) {
	for other := range s.proxies {
		if other == p || other.hello == nil {
			continue
		}
		if err := other.send(message{Kind: kindDrain}); err != nil {
			other.conn.Close()
		}
	}
}

// update sends p the sockets it lacks and the configuration.
func (s *Server) update(p *peer) error {
	lacking := s.store.missing(p.has)
	if err := p.sendSockets(lacking); err != nil {
		return err
	}
	for _, socket := range lacking {
		p.has[socket.addr] = true
	}
	return p.send(message{Kind: kindConfig, Config: s.desired})
}

// current returns the proxy that started last of those that accept connections, nil if there is
// none.
func (s *Server) current() *peer {
	var newest *peer
	for p := range s.proxies {
		if p.hello != nil && !p.status.Draining && (newest == nil || p.hello.Started.After(newest.hello.Started)) {
			newest = p
		}
	}
	return newest
}

// Set opens the sockets that proxy wants, closes others and passes both on. Unchanged, it does
// nothing. A port that is taken is an ItemError; the other listeners are served.
func (s *Server) Set(_ context.Context, proxy model.Proxy) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.store.open(proxy.Listeners)
	s.store.closeOthers(proxy.Listeners)
	s.wanted = &proxy
	if s.refresh() {
		s.updateAll()
	}
	return err
}

// refresh computes the desired configuration anew; true: it changed.
func (s *Server) refresh() bool {
	next := *s.wanted
	next.Listeners = s.bound(next.Listeners)
	if s.desired == nil {
		next.Generation = uint64(time.Now().UnixNano()) // after any that an agent before gave
		s.desired = &next
		return true
	}
	next.Generation = s.desired.Generation
	if reflect.DeepEqual(&next, s.desired) {
		return false
	}
	next.Generation++
	s.desired = &next
	return true
}

func (s *Server) updateAll() {
	for p := range s.proxies {
		if p.hello == nil {
			continue
		}
		forget(p.has, s.store)
		if err := s.update(p); err != nil {
			s.cfg.Log.Error(err, "proxy does not take its configuration, it is cut off")
			p.conn.Close()
		}
	}
}

// bound returns the listeners that have a socket.
func (s *Server) bound(all []model.Listener) []model.Listener {
	var list []model.Listener
	for _, l := range all {
		if _, ok := s.store[l.Address]; ok {
			list = append(list, l)
		}
	}
	return list
}

// forget drops the addresses that are gone, so that they are sent again when they come back.
func forget(has map[netip.AddrPort]bool, st store) {
	for addr := range has {
		if _, there := st[addr]; !there {
			delete(has, addr)
		}
	}
}

// Dismiss tells every proxy that it is not needed any more.
func (s *Server) Dismiss() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drainOthers(nil)
}

// State returns the current proxy's state.
func (s *Server) State() ProxyState {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.current()
	if p == nil {
		return ProxyState{}
	}
	return ProxyState{
		Connected: true,
		Version:   p.hello.ProxyVersion,
		Current:   s.runsDesired(p),
		Status:    p.status,
	}
}
