package direct

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ports keeps a local port from being used for another flow while the kernel still remembers its
// last one: an entry of the flow map is refreshed, never changed, by packets of a new flow.
type ports struct {
	mu   sync.Mutex
	last map[netip.AddrPort]time.Time // in the future while a connection is open
}

// quiet is how long after its last packet a port is left alone.
const quiet = flowTime + time.Second

// errPortResting asks for another try with another port.
var errPortResting = errors.New("local port is remembered for another connection")

// portAttempts bounds the tries; each finds a free one but for thousands of probes a second.
const portAttempts = 100

// bind binds fd to a port of source that is free and rested.
func (p *ports) bind(fd int, source netip.Addr, now time.Time) (netip.AddrPort, error) {
	if err := unix.Bind(fd, sockaddr(source)); err != nil {
		return netip.AddrPort{}, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	at := netip.AddrPortFrom(source, portOf(name))
	return at, p.take(at, now)
}

// take notes that a port is in use; errPortResting if it must not be yet.
func (p *ports) take(at netip.AddrPort, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last, ok := p.last[at]; ok && now.Sub(last) < quiet {
		return errPortResting
	}
	p.last[at] = now.Add(24 * time.Hour)
	return nil
}

// release notes that a port's connection has been closed.
func (p *ports) release(at netip.AddrPort, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last[at] = now
}

func sockaddr(a netip.Addr) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Addr: a.As16()}
}

func portOf(s unix.Sockaddr) uint16 {
	switch s := s.(type) {
	case *unix.SockaddrInet4:
		return uint16(s.Port)
	case *unix.SockaddrInet6:
		return uint16(s.Port)
	default:
		return 0
	}
}

// portConn is a connection that gives its local port back when it is closed.
type portConn struct {
	*net.TCPConn
	once    sync.Once
	release func()
}

// Close implements net.Conn.
func (c *portConn) Close() error {
	err := c.TCPConn.Close()
	c.once.Do(c.release)
	return err
}
