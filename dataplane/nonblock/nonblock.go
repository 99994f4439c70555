// Package nonblock makes system calls on non-blocking sockets without telling the Go scheduler.
//
// Before each call of package unix the runtime prepares for one that may block, and wakes its monitor thread,
// which then looks every 20 microseconds whether it does. For a loop that makes thousands of calls that cannot
// block, that costs as much as some of the calls. So use this package only where the kernel returns at
// once: on sockets with O_NONBLOCK, and for waiting with a timeout of 0 or of microseconds.
//
// It imports golang.org/x/sys/unix alone.
package nonblock

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// code is the error of a system call; nil: there was none.
func code(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// Stream returns a TCP socket for an address family (unix.AF_INET, unix.AF_INET6).
func Stream(family int) (fd int, err error) {
	n, _, errno := unix.RawSyscall(unix.SYS_SOCKET, uintptr(family), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	return int(n), code(errno)
}

// Connect begins to connect (connect(2)): EINPROGRESS says that it goes on. An address with a zone is taken
// for one without.
func Connect(fd int, to netip.AddrPort) error {
	if to.Addr().Is4() {
		sa := unix.RawSockaddrInet4{Family: unix.AF_INET, Port: swapped(to.Port()), Addr: to.Addr().As4()}
		_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unix.SizeofSockaddrInet4)
		return code(errno)
	}
	sa := unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: swapped(to.Port()), Addr: to.Addr().As16()}
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unix.SizeofSockaddrInet6)
	return code(errno)
}

// Disconnect ends a socket's connection, so that Connect can begin another (connect(2), AF_UNSPEC). One that is still
// open is reset; the port that the kernel chose is given back, options stay.
func Disconnect(fd int) error {
	sa := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
	return code(errno)
}

// swapped is a port in network byte order, as it lies in memory.
func swapped(port uint16) (out uint16) {
	b := (*[2]byte)(unsafe.Pointer(&out))
	b[0], b[1] = byte(port>>8), byte(port)
	return out
}

// SetInt is setsockopt(2) of an int.
func SetInt(fd, level, option, value int) error {
	v := int32(value)
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option), uintptr(unsafe.Pointer(&v)), 4, 0)
	return code(errno)
}

// SetReset makes Close send RST (SO_LINGER of 0 seconds, socket(7)): no socket stays in TIME_WAIT.
func SetReset(fd int) error {
	v := unix.Linger{Onoff: 1}
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER, uintptr(unsafe.Pointer(&v)), unsafe.Sizeof(v), 0)
	return code(errno)
}

// Read reads into b, which is not empty; 0 bytes are the end.
func Read(fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return done(n, errno)
}

// Write writes some of b, which is not empty.
func Write(fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return done(n, errno)
}

func done(n uintptr, errno unix.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// Close closes a socket that does not linger.
func Close(fd int) error {
	_, _, errno := unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
	return code(errno)
}

// Watch adds fd to an epoll instance; tag comes back in Pad with each event (epoll_ctl(2)).
func Watch(epoll, fd int, events uint32, tag int32) error {
	event := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: tag}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epoll), unix.EPOLL_CTL_ADD, uintptr(fd), uintptr(unsafe.Pointer(&event)), 0, 0)
	return code(errno)
}

// Events fills events, which is not empty, with what has happened, and does not wait for more.
func Events(epoll int, events []unix.EpollEvent) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	return done(n, errno)
}

// EventsWithin is Events, but waits for up to most nanoseconds if nothing has happened (epoll_pwait2(2), Linux 5.11;
// ENOSYS before). Meanwhile no other goroutine gets the processor of the runtime on which it is called.
func EventsWithin(epoll int, events []unix.EpollEvent, most int64) (int, error) {
	limit := unix.NsecToTimespec(most)
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(unsafe.Pointer(&limit)), 0, 0)
	return done(n, errno)
}
