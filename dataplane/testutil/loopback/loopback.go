// Package loopback gives tests addresses of this host that no test beside them can take: a port
// that the kernel once chose and that is free again belongs to whoever asks next.
//
// It may import the standard library and golang.org/x/sys.
package loopback

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// bound is a TCP socket bound to an address of its own until the test ends.
func bound(t testing.TB) (fd int, at *unix.SockaddrInet4) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd, name.(*unix.SockaddrInet4)
}

func addrPort(at *unix.SockaddrInet4) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4(at.Addr), uint16(at.Port))
}

// Refusing returns an address that refuses connections until the test ends: a socket is bound
// to it and does not listen.
func Refusing(t testing.TB) netip.AddrPort {
	t.Helper()
	_, at := bound(t)
	return addrPort(at)
}

// Silent returns an address that does not answer a connect until the test ends: its socket's queue is full, so the
// kernel drops what comes (listen(2), tcp_max_syn_backlog).
func Silent(t testing.TB) netip.AddrPort {
	t.Helper()
	fd, at := bound(t)
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		filler, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(filler) })
		if err := unix.Connect(filler, at); err != nil && err != unix.EINPROGRESS {
			t.Fatal(err)
		}
	}
	return addrPort(at)
}

// Free returns an address of 127.0.0.0/8 on which the test may listen. Ports of wildcard sockets
// are its own too: it is below the range from which the kernel chooses.
func Free(t testing.TB) netip.AddrPort {
	t.Helper()
	return netip.AddrPortFrom(own(), FreePort(t))
}

// FreePort returns a port that is free on every address, below the range from which the kernel
// chooses (net.ipv4.ip_local_port_range begins at 32768).
func FreePort(t testing.TB) uint16 {
	t.Helper()
	for range 100 {
		port := uint16(10_000 + rand.IntN(20_000))
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no free port among 100 tried")
	return 0
}

// own is an address of 127.0.0.0/8, most likely this test's alone.
func own() netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(254)), byte(rand.IntN(256)), byte(1 + rand.IntN(254))})
}

// Serve runs handle for every connection to a new address until the test ends, and closes the
// connection after it. Connections that handle keeps hold the end of the test up.
func Serve(t testing.TB, handle func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { defer c.Close(); handle(c) })
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return l.Addr().(*net.TCPAddr).AddrPort()
}
