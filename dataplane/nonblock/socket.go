package nonblock

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Accept4 takes a connection from a listening socket (accept4(2)): non-blocking, closed on exec. The peer is the
// zero AddrPort for families other than IPv4 and IPv6; a mapped IPv4 address is returned as IPv4, a zone is
// left out. EAGAIN says that none waits.
func Accept4(listener int) (fd int, peer netip.AddrPort, err error) {
	var sa unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, netip.AddrPort{}, errno
	}
	return int(n), address(&sa), nil
}

// address is a socket address of the kernel as a value.
func address(sa *unix.RawSockaddrAny) netip.AddrPort {
	switch sa.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), swapped(in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom16(in.Addr).Unmap(), swapped(in.Port))
	}
	return netip.AddrPort{}
}

// Peer is the address that a socket is connected to (getpeername(2)), in the form of Accept4. ENOTCONN says that the
// connection is gone.
func Peer(fd int) (netip.AddrPort, error) {
	var sa unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	_, _, errno := unix.RawSyscall(unix.SYS_GETPEERNAME, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)))
	return address(&sa), code(errno)
}

// Local is the address a socket is bound to (getsockname(2)), in the form of Accept4.
func Local(fd int) (netip.AddrPort, error) {
	var sa unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	_, _, errno := unix.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)))
	return address(&sa), code(errno)
}

// Bind gives a socket its source address (bind(2)). With port 0 set IP_BIND_ADDRESS_NO_PORT first: the port is
// then chosen by Connect, which knows the destination, and ports do not run out early (ip(7)).
func Bind(fd int, from netip.AddrPort) error {
	if from.Addr().Is4() {
		sa := unix.RawSockaddrInet4{Family: unix.AF_INET, Port: swapped(from.Port()), Addr: from.Addr().As4()}
		_, _, errno := unix.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unix.SizeofSockaddrInet4)
		return code(errno)
	}
	sa := unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: swapped(from.Port()), Addr: from.Addr().As16()}
	_, _, errno := unix.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unix.SizeofSockaddrInet6)
	return code(errno)
}

// Shutdown ends one direction of a connection (shutdown(2)): unix.SHUT_WR sends FIN after what was written.
func Shutdown(fd, how int) error {
	_, _, errno := unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), uintptr(how), 0)
	return code(errno)
}

// GetError fetches and clears what went wrong with a socket (SO_ERROR, socket(7)): nil after a connect that
// succeeded. failed says that the question itself was refused.
func GetError(fd int) (pending, failed error) {
	v, err := GetInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return nil, err
	}
	return code(unix.Errno(v)), nil
}

// GetInt is getsockopt(2) of an int.
func GetInt(fd, level, option int) (int, error) {
	var v int32
	size := uint32(4)
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option), uintptr(unsafe.Pointer(&v)), uintptr(unsafe.Pointer(&size)), 0)
	return int(v), code(errno)
}
