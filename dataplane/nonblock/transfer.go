package nonblock

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Recv reads from a socket into b, which is not empty; 0 bytes are the end (recv(2), flags MSG_*). It is cheaper
// than Read: no way through the file layer.
func Recv(fd int, b []byte, flags int) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(flags), 0, 0)
		if errno != unix.EINTR {
			return done(n, errno)
		}
	}
}

// Send writes some of b, which is not empty, to a socket (send(2)). unix.MSG_MORE says that more follows at
// once, so that a head and the start of a body share a packet; the kernel keeps it back for 200 ms at most.
// A peer that is gone is EPIPE, never a signal.
func Send(fd int, b []byte, flags int) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(flags|unix.MSG_NOSIGNAL), 0, 0)
		if errno != unix.EINTR {
			return done(n, errno)
		}
	}
}

// SendWhole sends b, at most a few hundred bytes and not empty, over a connection on which nothing waits to be sent: such
// a one takes all of it at once. If it does not, the kernel is short of memory: ENOBUFS, and the connection is of no use.
func SendWhole(fd int, b []byte) error {
	n, err := Send(fd, b, 0)
	if err == unix.EAGAIN || err == nil && n < len(b) {
		return unix.ENOBUFS
	}
	return err
}

// Splice moves at most size bytes between two descriptors, one of which is a pipe, without copying (splice(2));
// 0 bytes are the end. EAGAIN comes from either side: an empty source, a full pipe, a full socket.
func Splice(from, to, size int) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(size), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if errno != unix.EINTR {
			return done(n, errno)
		}
	}
}

// Pipe2 returns a non-blocking pipe that is closed on exec, and how many bytes it holds. It asks for size
// (F_SETPIPE_SZ, fcntl(2)); a user beyond fs.pipe-user-pages-soft is refused (EPERM), and beyond
// fs.pipe-max-size too: the pipe then keeps what it has, which may be as little as 8 KiB, so look at held.
func Pipe2(size int) (read, write, held int, err error) {
	var fds [2]int32
	if _, _, errno := unix.RawSyscall(unix.SYS_PIPE2, uintptr(unsafe.Pointer(&fds)), unix.O_NONBLOCK|unix.O_CLOEXEC, 0); errno != 0 {
		return -1, -1, 0, errno
	}
	read, write = int(fds[0]), int(fds[1])
	held, err = fcntl(write, unix.F_SETPIPE_SZ, size)
	if err != nil {
		held, err = fcntl(write, unix.F_GETPIPE_SZ, 0)
	}
	return read, write, held, err
}

func fcntl(fd, command, argument int) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_FCNTL, uintptr(fd), uintptr(command), uintptr(argument))
	return done(n, errno)
}
