package health

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// behaviour is what a server of the fake network does with a connection attempt.
type behaviour func(ctx context.Context) (net.Conn, error)

func accepts(context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	return &pipe{ours, theirs}, nil
}

// pipe is a connection to a server that says nothing.
type pipe struct {
	net.Conn
	peer net.Conn
}

func (p *pipe) Close() error { p.peer.Close(); return p.Conn.Close() }

func fails(errno syscall.Errno) behaviour {
	return func(context.Context) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errno}
	}
}

func silent(ctx context.Context) (net.Conn, error) {
	<-ctx.Done()
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
}

// network is a fake of what Config.Dial reaches: servers by address and port.
type network struct {
	mu      sync.Mutex
	servers map[string]behaviour
	dials   map[string][]time.Time
	open    map[string]int
	most    int // connections to one host at a time
}

func newNetwork() *network {
	return &network{servers: map[string]behaviour{}, dials: map[string][]time.Time{}, open: map[string]int{}}
}

func (n *network) set(address string, b behaviour) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.servers[address] = b
}

// attempts returns when address was dialled.
func (n *network) attempts(address string) []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]time.Time(nil), n.dials[address]...)
}

// connections returns how many connections to host are open or being opened.
func (n *network) connections(host string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open[host]
}

// peak returns the most connections that one host ever had at a time.
func (n *network) peak() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.most
}

func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.dials[address] = append(n.dials[address], time.Now())
	b := n.servers[address]
	n.open[host]++
	n.most = max(n.most, n.open[host])
	n.mu.Unlock()
	left := func() { n.mu.Lock(); n.open[host]--; n.mu.Unlock() }
	if b == nil {
		b = fails(syscall.ECONNREFUSED)
	}
	conn, err := b(ctx)
	if err != nil {
		left()
		return nil, err
	}
	return &counted{Conn: conn, closed: left}, nil
}

// counted is a connection that says once that it was closed.
type counted struct {
	net.Conn
	done   atomic.Bool
	closed func()
}

func (c *counted) Close() error {
	if !c.done.Swap(true) {
		c.closed()
	}
	return c.Conn.Close()
}

// change is one call of OnChange.
type change struct {
	key     string
	healthy bool
	reason  Reason
	after   time.Duration
}

// recorder collects calls of OnChange.
type recorder struct {
	mu      sync.Mutex
	start   time.Time
	changes []change
}

func (r *recorder) onChange(key string, v Verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, change{key, v.Healthy, v.Reason, time.Since(r.start)})
}

func (r *recorder) take() []change {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.changes
	r.changes = nil
	return out
}

// lab is a Monitor on a fake network, without jitter.
type lab struct {
	*Monitor
	net *network
	rec *recorder
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{net: newNetwork(), rec: &recorder{start: time.Now()}}
	l.Monitor = NewMonitor(Config{Dial: l.net.dial, OnChange: l.rec.onChange, Jitter: -1, Seed: 1})
	t.Cleanup(l.Close)
	return l
}

// tcpTarget is a target with a TCP check every 5 s, timeout 3 s, on each of the given ports.
func tcpTarget(key, address string, ports ...uint16) Target {
	t := Target{Key: key, Address: netip.MustParseAddr(address)}
	for _, p := range ports {
		t.Checks = append(t.Checks, Check{Type: TCP, Port: p, Period: 5 * time.Second, Timeout: 3 * time.Second})
	}
	return t
}
