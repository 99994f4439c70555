package health

import (
	"context"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/nonblock"
)

// begin starts a TCP connection without what net.Dialer adds for each one: a goroutine that watches
// the context, four further system calls. A thousand probes a second are dear by that. The
// descriptor is of a connected or connecting, non-blocking socket; ready says which.
func begin(at netip.AddrPort) (fd int, ready bool, err error) {
	if fd, err = open(at.Addr()); err != nil {
		return -1, false, err
	}
	if ready, err = advance(fd, at); err != nil {
		_ = nonblock.Close(fd)
		return -1, false, os.NewSyscallError("connect", err)
	}
	return fd, ready, nil
}

// open returns a socket for connections to a.
func open(a netip.Addr) (fd int, err error) {
	family := unix.AF_INET6
	if a.Is4() {
		family = unix.AF_INET
	}
	if fd, err = nonblock.Stream(family); err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	acknowledgeLate(fd)
	return fd, nil
}

// acknowledgeLate has the acknowledgement that ends the handshake wait for what is said first (tcp(7)): a packet less,
// and a probe that only connects resets the connection before the server's program hears of it.
func acknowledgeLate(fd int) { _ = nonblock.SetInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0) }

// advance starts a connection, or asks how far it has come (connect(2), EALREADY and EISCONN).
func advance(fd int, to netip.AddrPort) (ready bool, err error) {
	switch err := nonblock.Connect(fd, to); err {
	case nil, unix.EISCONN:
		return true, nil
	case unix.EINPROGRESS, unix.EALREADY, unix.EINTR:
		return false, nil
	default:
		return false, err
	}
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
	fd, ready, err := begin(at)
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
		waitErr := raw.Write(func(fd uintptr) bool {
			ready, err = advance(int(fd), at)
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
