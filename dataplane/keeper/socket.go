package keeper

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// backlog is the accept queue of a listening socket; the kernel caps it at net.core.somaxconn.
const backlog = 4096

// Socket is a listening TCP socket that can be passed to another process. It is a bare
// descriptor and not an os.File: os.File.Fd would make the socket blocking for every process
// that shares it.
type Socket struct {
	fd   int
	addr netip.AddrPort
}

// Listen opens a listening socket on an address that need not be on the host yet (IP_FREEBIND,
// ip(7)), so that it is there before the virtual IP address arrives.
func Listen(addr netip.AddrPort) (*Socket, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a socket for %s: %w", addr, err)
	}
	s := &Socket{fd: fd, addr: addr}
	if err := s.bind(); err != nil {
		s.Close()
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return s, nil
}

func (s *Socket) bind() error {
	for _, option := range [][3]int{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{unix.IPPROTO_IP, unix.IP_FREEBIND, 1},
	} {
		if err := unix.SetsockoptInt(s.fd, option[0], option[1], option[2]); err != nil {
			return err
		}
	}
	to := &unix.SockaddrInet4{Port: int(s.addr.Port()), Addr: s.addr.Addr().As4()}
	if err := unix.Bind(s.fd, to); err != nil {
		return err
	}
	return unix.Listen(s.fd, backlog)
}

// adopt takes over a descriptor that was passed to this process. It must be a listening TCP
// socket; its address is asked of the kernel and not of the sender.
func adopt(fd int) (*Socket, error) {
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return nil, fmt.Errorf("descriptor passed is not a socket: %w", err)
	}
	if listening != 1 {
		return nil, errors.New("descriptor passed is not a listening socket")
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, fmt.Errorf("address of the socket passed: %w", err)
	}
	in4, ok := name.(*unix.SockaddrInet4)
	if !ok {
		return nil, fmt.Errorf("socket passed is not IPv4 but %T", name)
	}
	addr := netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port))
	return &Socket{fd: fd, addr: addr}, nil
}

// Address returns the address the socket listens on.
func (s *Socket) Address() netip.AddrPort { return s.addr }

// Listener returns a net.Listener over a duplicate of the socket; closing it leaves the Socket
// open.
func (s *Socket) Listener() (net.Listener, error) {
	fd, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate the socket of %s: %w", s.addr, err)
	}
	f := os.NewFile(uintptr(fd), s.addr.String())
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("accept on %s: %w", s.addr, err)
	}
	return l, nil
}

// Close closes this process's descriptor; others that share the socket go on.
func (s *Socket) Close() { _ = unix.Close(s.fd) }
