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

// Listen opens a listening socket on an address of either family that need not be on the host yet
// (IP_FREEBIND, ip(7); IPV6_FREEBIND, linux/in6.h), so that it is there before the virtual IP
// address arrives. One on an IPv6 address takes no IPv4 (IPV6_V6ONLY, RFC 3493 section 5.3). An IPv4
// address written as IPv6 and a zone are refused: no virtual IP has either.
func Listen(addr netip.AddrPort) (*Socket, error) {
	how, err := bindingOf(addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	fd, err := unix.Socket(how.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a socket for %s: %w", addr, err)
	}
	if err := how.listen(fd); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return &Socket{fd: fd, addr: addr}, nil
}

// binding is how a socket gets an address.
type binding struct {
	family  int
	options [][2]int // level and name of options that are switched on
	to      unix.Sockaddr
}

func bindingOf(addr netip.AddrPort) (binding, error) {
	switch ip := addr.Addr(); {
	case ip.Is4():
		return binding{
			unix.AF_INET, [][2]int{{unix.IPPROTO_IP, unix.IP_FREEBIND}},
			&unix.SockaddrInet4{Port: int(addr.Port()), Addr: ip.As4()},
		}, nil
	case ip.Is6() && !ip.Is4In6() && ip.Zone() == "":
		return binding{
			unix.AF_INET6, [][2]int{{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY}, {unix.IPPROTO_IPV6, unix.IPV6_FREEBIND}},
			&unix.SockaddrInet6{Port: int(addr.Port()), Addr: ip.As16()},
		}, nil
	}
	return binding{}, errors.New("no address that a socket can have: write an IPv4 or IPv6 address without zone")
}

func (b binding) listen(fd int) error {
	for _, option := range append([][2]int{{unix.SOL_SOCKET, unix.SO_REUSEADDR}}, b.options...) {
		if err := unix.SetsockoptInt(fd, option[0], option[1], 1); err != nil {
			return err
		}
	}
	if err := unix.Bind(fd, b.to); err != nil {
		return err
	}
	return unix.Listen(fd, backlog)
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
	addr, err := addressOf(name)
	if err != nil {
		return nil, err
	}
	return &Socket{fd: fd, addr: addr}, nil
}

// addressOf reads a socket's own address.
func addressOf(name unix.Sockaddr) (netip.AddrPort, error) {
	switch at := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(at.Addr), uint16(at.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(at.Addr), uint16(at.Port)), nil
	}
	return netip.AddrPort{}, fmt.Errorf("socket passed is neither IPv4 nor IPv6 but %T", name)
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
