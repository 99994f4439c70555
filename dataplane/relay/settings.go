package relay

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/nonblock"
)

// Settings of pairs; they must not change while a pair uses them. A time of 0 is no limit.
type Settings struct {
	// Connect bounds how long one attempt to reach a server takes.
	Connect time.Duration
	// ClientIdle and ServerIdle bound how long nothing may move, in either direction, while the pair waits for
	// that side: for bytes from it, or for it to take bytes.
	ClientIdle, ServerIdle time.Duration
	// HalfClosed takes the place of the above for a side that has been sent its FIN, so that a
	// direction that nobody will ever end does not stay for hours. 0: the above go on.
	HalfClosed time.Duration
	// Client and Server are the socket options of the two connections.
	Client, Server Socket
}

// Socket is options of a TCP socket (tcp(7)). Zero fields leave what the socket has: a client's connection
// inherits what was applied to the listening socket, which spares system calls.
type Socket struct {
	// NoDelay sends small segments at once. A relay needs it on both sides: it must not hold back what the
	// sender chose to send.
	NoDelay bool
	// UserTimeout ends a connection whose peer acknowledges nothing for so long (TCP_USER_TIMEOUT).
	UserTimeout time.Duration
	// KeepAliveIdle is when an idle connection is probed first, KeepAliveInterval how often then, and
	// KeepAliveProbes how many may go unanswered. Whole seconds, rounded up.
	KeepAliveIdle, KeepAliveInterval time.Duration
	KeepAliveProbes                  int
}

// Apply sets the options on a socket, connected, listening or new. What a Multipath TCP socket does not know of is left
// out (TCP_USER_TIMEOUT, before the kernel has it): such a listening socket, which package net makes unless it
// is told otherwise, passes no more on than it knows.
func (s Socket) Apply(fd int) error {
	for _, o := range [...]struct{ level, name, value int }{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, flag(s.NoDelay)},
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(s.UserTimeout.Milliseconds())},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, flag(s.KeepAliveIdle > 0)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds(s.KeepAliveIdle)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds(s.KeepAliveInterval)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, s.KeepAliveProbes},
	} {
		if o.value == 0 {
			continue
		}
		if err := nonblock.SetInt(fd, o.level, o.name, o.value); err != nil && err != unix.ENOPROTOOPT && err != unix.EOPNOTSUPP {
			return fmt.Errorf("relay: set socket option %d of level %d to %d: %w", o.name, o.level, o.value, err)
		}
	}
	return nil
}

func flag(on bool) int {
	if on {
		return 1
	}
	return 0
}

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// Target is where a client's bytes go.
type Target struct {
	// Server is the address to connect to.
	Server netip.AddrPort
	// Source is the address to connect from; the zero value leaves it to the kernel, port 0 leaves the port.
	Source netip.AddrPort
}

// Dial begins to connect and returns the socket, which is the caller's: it is writable when the connection is made
// or has failed (SO_ERROR).
func (t Target) Dial(options Socket) (fd int, err error) {
	family := unix.AF_INET6
	if t.Server.Addr().Is4() {
		family = unix.AF_INET
	}
	if fd, err = nonblock.Stream(family); err != nil {
		return -1, err
	}
	if err = options.Apply(fd); err == nil {
		err = t.bind(fd)
	}
	if err == nil {
		err = nonblock.Connect(fd, t.Server)
	}
	if err != nil && err != unix.EINPROGRESS {
		_ = nonblock.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (t Target) bind(fd int) error {
	if !t.Source.IsValid() {
		return nil
	}
	if t.Source.Port() == 0 {
		_ = nonblock.SetInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) // without it: fewer ports
	}
	return nonblock.Bind(fd, t.Source)
}
