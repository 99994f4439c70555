package nonblock

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Add has an epoll instance watch fd; data comes back with each event, see Data (epoll_ctl(2)).
func Add(epoll, fd int, events uint32, data uint64) error {
	return control(epoll, unix.EPOLL_CTL_ADD, fd, events, data)
}

// Modify replaces what is watched for, and data; what is ready by then is reported. It re-arms EPOLLONESHOT.
// An EPOLLEXCLUSIVE registration cannot be modified (EINVAL).
func Modify(epoll, fd int, events uint32, data uint64) error {
	return control(epoll, unix.EPOLL_CTL_MOD, fd, events, data)
}

// Delete ends watching. Closing fd does so too, but only if no other process or descriptor shares what it
// stands for: a socket that was passed on must be deleted.
func Delete(epoll, fd int) error {
	return control(epoll, unix.EPOLL_CTL_DEL, fd, 0, 0)
}

func control(epoll, op, fd int, events uint32, data uint64) error {
	event := unix.EpollEvent{Events: events, Fd: int32(uint32(data)), Pad: int32(uint32(data >> 32))}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epoll), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&event)), 0, 0)
	return code(errno)
}

// Data is what Add or Modify was given for the descriptor of an event.
func Data(event *unix.EpollEvent) uint64 {
	return uint64(uint32(event.Fd)) | uint64(uint32(event.Pad))<<32
}
