package netwatch

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// bufferSize takes any message: netlink messages of the kernel are at most 32 KiB (NLMSG_GOODSIZE).
const bufferSize = 64 << 10

// source is one kind of netlink messages.
type source struct {
	what     string
	protocol int
	groups   []int
	// concerns tells whether one of the messages of a datagram is worth a look at the host.
	concerns func(datagram []byte) bool
}

// routing is interfaces and addresses of both families.
func routing() source {
	return source{
		"interfaces and addresses", unix.NETLINK_ROUTE,
		[]int{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR},
		func([]byte) bool { return true },
	}
}

// packetFilter is one nftables table of family inet.
func packetFilter(table string) source {
	return source{
		"nftables", unix.NETLINK_NETFILTER, []int{unix.NFNLGRP_NFTABLES},
		func(datagram []byte) bool { return namesTable(datagram, table) },
	}
}

func (s source) open() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, s.protocol)
	if err != nil {
		return nil, err
	}
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	for _, group := range s.groups {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group))
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

// read notes in news that there was a message of concern, until conn is closed or fails.
func (s source) read(conn *os.File, news chan<- struct{}) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	buffer := make([]byte, bufferSize)
	for {
		var n int
		var got error
		err := raw.Read(func(fd uintptr) bool {
			n, _, got = unix.Recvfrom(int(fd), buffer, 0)
			return !errors.Is(got, unix.EAGAIN)
		})
		switch {
		case err != nil:
			return err
		case errors.Is(got, unix.EINTR):
			continue
		case got != nil && !errors.Is(got, unix.ENOBUFS):
			return got
		case got == nil && !s.concerns(buffer[:n]):
			continue
		}
		select {
		case news <- struct{}{}:
		default:
		}
	}
}
