package genl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// wire is what a Client needs of a netlink socket; tests put the kernel's part in its place.
type wire interface {
	// send hands one datagram to the kernel, which carries it out before send returns.
	send(b []byte) error
	// receive waits for one datagram until the context's deadline or end and puts it into b.
	// whole is false if it did not fit. An error of the kernel is a unix.Errno.
	receive(ctx context.Context, b []byte) (n int, from uint32, whole bool, err error)
	// waiting takes a datagram if there is one, without waiting.
	waiting(b []byte) bool
	// port is the socket's own address.
	port() uint32
	// space is the receive buffer's size in the kernel's own reckoning.
	space() int
	Close() error
}

// receiveSpace is the wanted receive buffer: answers to a train of requests have to fit, and each
// is reckoned at its whole kernel buffer.
const receiveSpace = 1 << 20

// socket is an AF_NETLINK socket of generic netlink in the runtime's poller.
type socket struct {
	file *os.File
	raw  syscall.RawConn
	own  uint32
	size int
}

var _ wire = (*socket)(nil)

// openSocket opens the socket in the network namespace of the calling thread.
func openSocket() (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_GENERIC)
	if err != nil {
		return nil, fmt.Errorf("ipvs: open a netlink socket: %w", err)
	}
	s := &socket{}
	if err := s.prepare(fd); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("ipvs: prepare a netlink socket: %w", err)
	}
	s.file = os.NewFile(uintptr(fd), "netlink")
	if s.raw, err = s.file.SyscallConn(); err != nil {
		_ = s.file.Close()
		return nil, fmt.Errorf("ipvs: prepare a netlink socket: %w", err)
	}
	return s, nil
}

func (s *socket) prepare(fd int) error {
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	address, ok := name.(*unix.SockaddrNetlink)
	if !ok {
		return fmt.Errorf("the socket has the address %T", name)
	}
	s.own = address.Pid
	// Answers without a copy of the request (Linux 4.2) and with the kernel's words (4.12) are a
	// comfort; the codec does without. The same goes for the buffer: trains are as long as it allows.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveSpace) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveSpace)
	}
	s.size, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return err
}

func (s *socket) port() uint32 { return s.own }

func (s *socket) space() int { return s.size }

func (s *socket) send(b []byte) error {
	var failed error
	err := s.raw.Control(func(fd uintptr) {
		failed = ignoringEINTR(func() error {
			return unix.Sendto(int(fd), b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		})
	})
	if err != nil {
		return ErrClosed
	}
	return failed
}

func ignoringEINTR(call func() error) error {
	for range 100 {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
	return unix.EINTR
}

// received is one system call's result.
type received struct {
	n     int
	from  uint32
	whole bool
	err   error
}

func take(fd uintptr, b []byte) (r received) {
	var sender unix.Sockaddr
	var flags int
	r.err = ignoringEINTR(func() (err error) {
		r.n, _, flags, sender, err = unix.Recvmsg(int(fd), b, nil, unix.MSG_DONTWAIT)
		return err
	})
	r.whole = flags&unix.MSG_TRUNC == 0
	r.from = ^uint32(0)
	if address, ok := sender.(*unix.SockaddrNetlink); ok {
		r.from = address.Pid
	}
	return r
}

func (s *socket) receive(ctx context.Context, b []byte) (n int, from uint32, whole bool, err error) {
	// The kernel has mostly answered before send returned.
	var r received
	if err := s.raw.Control(func(fd uintptr) { r = take(fd, b) }); err != nil {
		return 0, 0, false, ErrClosed
	}
	if r.err == unix.EAGAIN {
		r = s.await(ctx, b)
	}
	return r.n, r.from, r.whole, r.err
}

func (s *socket) await(ctx context.Context, b []byte) (r received) {
	deadline, _ := ctx.Deadline()
	if err := s.file.SetReadDeadline(deadline); err != nil {
		return received{err: ErrClosed}
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = s.file.SetReadDeadline(time.Unix(1, 0))
		close(ended)
	})
	err := s.raw.Read(func(fd uintptr) bool {
		r = take(fd, b)
		return r.err != unix.EAGAIN
	})
	if !stop() {
		<-ended // or it would cut the next call short
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return received{err: fmt.Errorf("%w: %w", ErrTimeout, errors.Join(ctx.Err(), err))}
	case err != nil:
		return received{err: ErrClosed}
	}
	return r
}

func (s *socket) waiting(b []byte) bool {
	var r received
	err := s.raw.Control(func(fd uintptr) { r = take(fd, b) })
	// ENOBUFS is reported once and what came before it is still there.
	return err == nil && (r.err == nil || r.err == unix.ENOBUFS)
}

func (s *socket) Close() error { return s.file.Close() }
