package direct

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/health"
)

// DefaultPool4 is 248.0.0.0/5, a part of 240.0.0.0/4 (RFC 1112 section 4), which no host of the
// network may have: room for 2,048 servers of each VIP.
func DefaultPool4() netip.Prefix { return netip.MustParsePrefix("248.0.0.0/5") }

// DefaultPool6 is a unique local prefix (RFC 4193).
func DefaultPool6() netip.Prefix { return netip.MustParsePrefix("fd74:7061:6373:6872::/64") }

// Config is what a Dialer needs; the zero value is usable.
type Config struct {
	// Pool4 is where aliases of IPv4 addresses are taken from, /4 to /16; absent: DefaultPool4. No
	// host or pod of the site may use it.
	Pool4 netip.Prefix
	// Pool6 is the same for IPv6, /48 to /64; absent: DefaultPool6.
	Pool6 netip.Prefix
}

// Dialer opens connections to virtual IP addresses on chosen servers. It is safe for concurrent use.
// The kernel is touched at the first DialVia of a pair, and by Close.
type Dialer struct {
	ports  ports
	mu     sync.Mutex
	family [2]*family // IPv4, IPv6
	closed bool
}

// New checks cfg.
func New(cfg Config) (*Dialer, error) {
	if !cfg.Pool4.IsValid() {
		cfg.Pool4 = DefaultPool4()
	}
	if !cfg.Pool6.IsValid() {
		cfg.Pool6 = DefaultPool6()
	}
	if err := errors.Join(checkPool(cfg.Pool4), checkPool(cfg.Pool6)); err != nil {
		return nil, err
	}
	if !cfg.Pool4.Addr().Is4() || cfg.Pool6.Addr().Is4() {
		return nil, errors.New("pool of direct checks: Pool4 must be IPv4 and Pool6 IPv6")
	}
	return &Dialer{ports: ports{last: map[netip.AddrPort]time.Time{}}, family: [2]*family{newFamily(cfg.Pool4), newFamily(cfg.Pool6)}}, nil
}

func (d *Dialer) familyOf(a netip.Addr) *family {
	if a.Is4() {
		return d.family[0]
	}
	return d.family[1]
}

// DialVia opens a TCP connection to vip that goes to server and nobody else. The connection's
// RemoteAddr is the alias. A server that is this host itself is reached at its own address: packets to
// it take no path. Errors beside those of connect(2):
//   - health.ErrNoVIP: server answers on its own address and port, and is silent on the VIP;
//   - health.ErrOffSegment: server is behind a router, direct routing cannot reach it;
//   - health.ErrUnprepared: this host could not make the path, or had lost it and has mended it.
//
// Cancelling ctx ends the attempt.
func (d *Dialer) DialVia(ctx context.Context, vip netip.AddrPort, server netip.Addr) (net.Conn, error) {
	p := pair{vip.Addr().Unmap(), server.Unmap()}
	if p.vip.Is4() != p.server.Is4() {
		return nil, fmt.Errorf("VIP %v and server %v are of different families: %w", p.vip, p.server, health.ErrUnprepared)
	}
	at, w, err := d.path(p)
	if errors.Is(err, errOwnHost) {
		return (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", netip.AddrPortFrom(p.server, vip.Port()).String())
	}
	if err != nil {
		return nil, err
	}
	own := own{ctx: ctx, server: netip.AddrPortFrom(p.server, vip.Port())}
	defer own.start()()
	conn, err := d.dial(ctx, w.source, netip.AddrPortFrom(at, vip.Port()))
	if err == nil || errors.Is(err, context.Canceled) {
		return conn, err
	}
	if d.mend(p, at, w) {
		return nil, fmt.Errorf("the path to %v by %v was damaged and has been mended: %w", p.vip, p.server, health.ErrUnprepared)
	}
	if own.answered() {
		return nil, fmt.Errorf("%v answers on port %d, but not on %v: %w: %w", p.server, vip.Port(), p.vip, health.ErrNoVIP, err)
	}
	return nil, err
}

// dial opens the connection from a local port of its own: replies are told apart by it.
func (d *Dialer) dial(ctx context.Context, source netip.Addr, to netip.AddrPort) (net.Conn, error) {
	for range portAttempts {
		conn, err := d.dialOnce(ctx, source, to)
		if !errors.Is(err, errPortResting) {
			return conn, err
		}
	}
	return nil, fmt.Errorf("no local port is free for a check: %w", health.ErrUnprepared)
}

func (d *Dialer) dialOnce(ctx context.Context, source netip.Addr, to netip.AddrPort) (net.Conn, error) {
	var at netip.AddrPort
	var taken bool
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: refresh, Interval: refresh}}
	dialer.Control = func(_, _ string, c syscall.RawConn) error {
		var err error
		outer := c.Control(func(fd uintptr) {
			if err = limitHops(int(fd), source.Is6(), 1); err == nil {
				at, err = d.ports.bind(int(fd), source, time.Now())
				taken = err == nil
			}
		})
		return errors.Join(outer, err)
	}
	conn, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		if taken {
			d.ports.release(at, time.Now())
		}
		return nil, err
	}
	return &portConn{TCPConn: conn.(*net.TCPConn), release: func() { d.ports.release(at, time.Now()) }}, nil
}

func limitHops(fd int, v6 bool, hops int) error {
	if v6 {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, hops)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, hops)
}

// path returns the alias of a pair, programming it when it is new.
func (d *Dialer) path(p pair) (netip.Addr, way, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.familyOf(p.vip)
	if d.closed {
		return netip.Addr{}, way{}, net.ErrClosed
	}
	if k, ok := f.known[p]; ok {
		return f.aliases.of[p], k, nil
	}
	w, err := d.establish(f, p)
	if err != nil {
		return netip.Addr{}, w, err
	}
	return f.aliases.of[p], w, nil
}

// establish programs a pair. Call it with d.mu held.
func (d *Dialer) establish(f *family, p pair) (way, error) {
	if !f.ready {
		if err := f.prepare(); err != nil {
			return way{}, fmt.Errorf("%w: %w", health.ErrUnprepared, err)
		}
	}
	w, err := wayTo(p)
	if err != nil {
		return w, err
	}
	f.swept = false
	x, ok := f.aliases.get(p)
	if !ok {
		return w, fmt.Errorf("pool %v has no room for more servers of %v: %w", f.aliases.pool, p.vip, health.ErrUnprepared)
	}
	if err := f.add(p, x, w); err != nil {
		f.aliases.drop(p)
		return w, fmt.Errorf("%w: %w", health.ErrUnprepared, err)
	}
	f.known[p] = w
	return w, nil
}

// examineEvery bounds the effort while many servers are dead; it is shorter than what most checks
// need to take a server down.
const examineEvery = 500 * time.Millisecond

// mend looks whether a path that failed is still as programmed, and makes it again if not: a
// flushed ruleset must not look like a dead server.
func (d *Dialer) mend(p pair, x netip.Addr, used way) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.familyOf(p.vip)
	if d.closed || time.Since(f.examined) < examineEvery {
		return false
	}
	w, err := wayTo(p)
	if err != nil || w == used && f.intact(x, p) {
		f.examined = time.Now()
		return false
	}
	pairs := f.known
	f.known, f.ready = map[pair]way{}, false
	for each := range pairs {
		_, _ = d.establish(f, each) // one that fails is tried again at its next DialVia
	}
	return true
}

// Path is a virtual IP address on one server.
type Path struct{ VIP, Server netip.Addr }

// Keep removes all other paths: those of servers and VIPs that are gone, and, if a family has none at
// all, whatever an earlier run left. It writes nothing if there is nothing to remove.
func (d *Dialer) Keep(used []Path) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	keep := map[pair]bool{}
	for _, p := range used {
		keep[pair{p.VIP.Unmap(), p.Server.Unmap()}] = true
	}
	var failures []error
	for i, f := range d.family {
		for p := range f.known {
			if !keep[p] && f.ready {
				f.forget(p)
			}
		}
		if !d.closed && !slices.ContainsFunc(used, func(p Path) bool { return d.familyOf(p.VIP.Unmap()) == d.family[i] }) {
			failures = append(failures, f.sweep())
		}
	}
	return errors.Join(failures...)
}

// Close removes everything that the Dialer put into the kernel. Open connections break.
func (d *Dialer) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	var failures []error
	for _, f := range d.family {
		if f.ready {
			failures = append(failures, f.remove())
		}
	}
	return errors.Join(failures...)
}

// own is a connection attempt to the server's own address, made beside the one to the VIP to tell
// a missing VIP from a dead server.
type own struct {
	ctx    context.Context
	server netip.AddrPort
	result chan bool
}

// refresh is how often an open connection sends something, so that the kernel does not forget it.
const refresh = 3 * time.Second

// leastPatience is how long the VIP may stay silent before the server's own address is asked.
const leastPatience = 200 * time.Millisecond

// start waits half the time that ctx leaves, then dials. The function that it returns ends it
// and must be called.
func (o *own) start() (stop func()) {
	ctx, cancel := context.WithCancel(o.ctx)
	o.result = make(chan bool, 1)
	patience := leastPatience
	if deadline, ok := o.ctx.Deadline(); ok {
		patience = time.Until(deadline) / 2
	}
	timer := time.AfterFunc(patience, func() {
		conn, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", o.server.String())
		if err == nil {
			_ = conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
		o.result <- err == nil
	})
	return func() { timer.Stop(); cancel() }
}

// answered tells whether the server took the connection by now.
func (o *own) answered() bool {
	select {
	case ok := <-o.result:
		return ok
	default:
		return false
	}
}
