package health

import (
	"context"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// connect opens a TCP connection without what net.Dialer adds for each one: a goroutine that
// watches the context, four further system calls, a registration with the poller even if the
// server has answered already. A thousand probes a second are dear by that.
//
// The returned file is a connected or connecting, non-blocking socket; ready says which.
func connect(at netip.AddrPort) (fd int, ready bool, err error) {
	family := unix.AF_INET6
	if at.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, false, os.NewSyscallError("socket", err)
	}
	ready, err = advance(fd, sockaddr(at))
	if err == nil && !ready { // on one host the answer may be there by now
		ready, err = advance(fd, sockaddr(at))
	}
	if err != nil {
		unix.Close(fd)
		return -1, false, os.NewSyscallError("connect", err)
	}
	return fd, ready, nil
}

// advance starts a connection, or asks how far it has come (connect(2), EALREADY and EISCONN).
func advance(fd int, to unix.Sockaddr) (ready bool, err error) {
	switch err := unix.Connect(fd, to); err {
	case nil, unix.EISCONN:
		return true, nil
	case unix.EINPROGRESS, unix.EALREADY, unix.EINTR:
		return false, nil
	default:
		return false, err
	}
}

func sockaddr(at netip.AddrPort) unix.Sockaddr {
	if at.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
}

// socketConn is a TCP connection on a file of the runtime's poller.
type socketConn struct {
	*os.File
	remote netip.AddrPort
}

var _ net.Conn = (*socketConn)(nil)

// LocalAddr implements net.Conn; nobody here asks for it.
func (c *socketConn) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr implements net.Conn.
func (c *socketConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// dialSocket is the default of Config.Dial, for addresses without names or zones.
func dialSocket(ctx context.Context, at netip.AddrPort) (net.Conn, error) {
	fd, ready, err := connect(at)
	if err != nil {
		return nil, err
	}
	return await(ctx, fd, ready, at)
}

// await waits until a connection is there and takes fd over.
func await(ctx context.Context, fd int, ready bool, at netip.AddrPort) (net.Conn, error) {
	conn := &socketConn{File: os.NewFile(uintptr(fd), "tcp"), remote: at}
	if ready {
		return conn, nil
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetWriteDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := conn.SyscallConn()
	if err == nil {
		to := sockaddr(at)
		waitErr := raw.Write(func(fd uintptr) bool {
			ready, err = advance(int(fd), to)
			return ready || err != nil
		})
		if err == nil {
			err = waitErr
		}
	}
	if err != nil {
		conn.Close()
		return nil, os.NewSyscallError("connect", err)
	}
	return conn, nil
}

// connectOnly probes whether a TCP connection can be opened, and ends it with a reset, so that no
// socket is left in TIME_WAIT for each probe.
func connectOnly(ctx context.Context, at netip.AddrPort) error {
	fd, ready, err := connect(at)
	if err != nil {
		return err
	}
	reset(fd)
	if ready {
		return os.NewSyscallError("close", unix.Close(fd))
	}
	conn, err := await(ctx, fd, false, at)
	if err != nil {
		return err
	}
	return conn.Close()
}

// reset makes close send RST (SO_LINGER 0, socket(7)).
func reset(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}
