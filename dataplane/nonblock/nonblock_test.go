package nonblock_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/nonblock"
)

// TestConversation connects to a server of package net, says something, hears it again and resets.
func TestConversation(t *testing.T) {
	for name, address := range map[string]string{"IPv4": "127.0.0.1:0", "IPv6": "[::1]:0"} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", address)
			must(t, err)
			defer listener.Close()
			ended := make(chan error, 1)
			go func() {
				c, err := listener.Accept()
				if err != nil {
					ended <- err
					return
				}
				defer c.Close()
				_, err = io.Copy(c, c)
				ended <- err
			}()
			to := netip.MustParseAddrPort(listener.Addr().String())
			epoll, fd := connect(t, to)
			n, err := nonblock.Write(fd, []byte("hello"))
			must(t, err)
			await(t, epoll, unix.EPOLLIN)
			b := make([]byte, 16)
			got, err := nonblock.Read(fd, b)
			must(t, err)
			if n != 5 || string(b[:got]) != "hello" {
				t.Errorf("wrote %d, read %q", n, b[:got])
			}
			if _, err := nonblock.Read(fd, b); !errors.Is(err, unix.EAGAIN) {
				t.Errorf("nothing to read: %v", err)
			}
			must(t, nonblock.SetReset(fd))
			must(t, nonblock.Close(fd))
			if err := <-ended; !errors.Is(err, unix.ECONNRESET) {
				t.Errorf("the server saw %v, want a reset", err)
			}
			if err := nonblock.Close(fd); !errors.Is(err, unix.EBADF) {
				t.Errorf("closed twice: %v", err)
			}
		})
	}
}

// connect connects, and watches the socket with the tag 7.
func connect(t *testing.T, to netip.AddrPort) (epoll, fd int) {
	t.Helper()
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(epoll) })
	family := unix.AF_INET6
	if to.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err = nonblock.Stream(family)
	must(t, err)
	must(t, nonblock.SetInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	if set, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); err != nil || set != 1 {
		t.Errorf("TCP_NODELAY is %d: %v", set, err)
	}
	if err := nonblock.Connect(fd, to); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		t.Fatal(err)
	}
	must(t, nonblock.Watch(epoll, fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLET&(1<<32-1), 7))
	await(t, epoll, unix.EPOLLOUT)
	return epoll, fd
}

// await waits for an event of the socket.
func await(t *testing.T, epoll int, want uint32) {
	t.Helper()
	events := make([]unix.EpollEvent, 4)
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		n, err := nonblock.Events(epoll, events)
		must(t, err)
		if n == 1 && events[0].Events&want != 0 && events[0].Pad == 7 {
			return
		}
	}
	t.Fatalf("no event %#x came", want)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestErrors: what the kernel refuses is an error that says so.
func TestErrors(t *testing.T) {
	if _, err := nonblock.Stream(12345); !errors.Is(err, unix.EAFNOSUPPORT) {
		t.Errorf("no such family: %v", err)
	}
	if _, err := nonblock.Events(-1, make([]unix.EpollEvent, 1)); !errors.Is(err, unix.EBADF) {
		t.Errorf("no epoll: %v", err)
	}
	if err := nonblock.SetInt(-1, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); !errors.Is(err, unix.EBADF) {
		t.Errorf("no socket: %v", err)
	}
}

// TestEventsWithin waits no longer than it is told, and no longer than for the first event.
func TestEventsWithin(t *testing.T) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(epoll) })
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	must(t, nonblock.Add(epoll, fd, unix.EPOLLIN, 9))
	events := make([]unix.EpollEvent, 4)
	began := time.Now()
	n, err := nonblock.EventsWithin(epoll, events, int64(2*time.Millisecond))
	for err == unix.EINTR {
		n, err = nonblock.EventsWithin(epoll, events, int64(2*time.Millisecond))
	}
	if took := time.Since(began); n != 0 || err != nil || took < 2*time.Millisecond {
		t.Errorf("%d events after %s, %v", n, took, err)
	}
	_, err = unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	must(t, err)
	began = time.Now()
	n, err = nonblock.EventsWithin(epoll, events, int64(time.Minute))
	if took := time.Since(began); n != 1 || err != nil || nonblock.Data(&events[0]) != 9 || took > 10*time.Second {
		t.Errorf("%d events after %s, %v", n, took, err)
	}
	if _, err := nonblock.EventsWithin(-1, events, 1); !errors.Is(err, unix.EBADF) {
		t.Errorf("no epoll: %v", err)
	}
}
