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

// ready waits until there is something to read, or an error: on a busy host packets take their time on loopback too.
func ready(t *testing.T, fd int) {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 30000)
		if err == unix.EINTR {
			continue
		}
		if must(t, err); n != 1 {
			t.Fatal("nothing came for 30 seconds")
		}
		return
	}
}

// accepted returns a connection that was accepted by Accept4, and its client of package net.
func accepted(t *testing.T, network, address string) (fd int, client *net.TCPConn, peer netip.AddrPort) {
	t.Helper()
	listener, err := net.Listen(network, address)
	must(t, err)
	defer listener.Close()
	raw, err := listener.(*net.TCPListener).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(s uintptr) {
		if _, _, err := nonblock.Accept4(int(s)); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("nobody has connected: %v", err)
		}
		c, err := net.Dial(network, listener.Addr().String())
		must(t, err)
		client = c.(*net.TCPConn)
		ready(t, int(s))
		fd, peer, err = nonblock.Accept4(int(s))
		must(t, err)
	}))
	t.Cleanup(func() { client.Close(); _ = unix.Close(fd) })
	must(t, client.SetDeadline(time.Now().Add(time.Minute)))
	return fd, client, peer
}

func TestAccept4(t *testing.T) {
	for name, tc := range map[string]struct{ network, address string }{
		"IPv4": {network: "tcp4", address: "127.0.0.1:0"},
		"IPv6": {network: "tcp6", address: "[::1]:0"},
	} {
		t.Run(name, func(t *testing.T) {
			fd, client, peer := accepted(t, tc.network, tc.address)
			if want := client.LocalAddr().(*net.TCPAddr).AddrPort(); peer != want {
				t.Errorf("peer %v, want %v", peer, want)
			}
			local, err := nonblock.Local(fd)
			if want := client.RemoteAddr().(*net.TCPAddr).AddrPort(); err != nil || local != want {
				t.Errorf("local %v, want %v; %v", local, want, err)
			}
			if told, err := nonblock.Peer(fd); err != nil || told != peer {
				t.Errorf("later the peer is %v, want %v; %v", told, peer, err)
			}
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			if err != nil || flags&unix.O_NONBLOCK == 0 {
				t.Errorf("flags %#x: the socket blocks; %v", flags, err)
			}
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("flags %#x: a child would inherit the socket; %v", flags, err)
			}
		})
	}
}

// A listener for both families reports an IPv4 client as IPv4; a unix socket has no address.
func TestAccept4OtherFamilies(t *testing.T) {
	s, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	must(t, err)
	defer unix.Close(s)
	must(t, nonblock.SetInt(s, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0))
	must(t, nonblock.Bind(s, netip.MustParseAddrPort("[::]:0")))
	must(t, unix.Listen(s, 1))
	at, err := nonblock.Local(s)
	must(t, err)
	c, err := net.Dial("tcp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port()).String())
	must(t, err)
	defer c.Close()
	ready(t, s)
	fd, peer, err := nonblock.Accept4(s)
	must(t, err)
	defer unix.Close(fd)
	if want := c.LocalAddr().(*net.TCPAddr).AddrPort(); peer != want {
		t.Errorf("peer %v, want %v", peer, want)
	}
}

func TestSendRecv(t *testing.T) {
	fd, client, _ := accepted(t, "tcp", "127.0.0.1:0")
	sent := time.Now()
	if n, err := nonblock.Send(fd, []byte("ab"), unix.MSG_MORE); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	_ = client.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	b := make([]byte, 64)
	early, err := client.Read(b)
	if err == nil && time.Since(sent) < 100*time.Millisecond { // the kernel keeps them for 200
		t.Errorf("MSG_MORE let %d bytes go", early)
	}
	_ = client.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := nonblock.Send(fd, []byte("cdefgh"), 0); n != 6 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := io.ReadFull(client, b[early:8]); err != nil || string(b[:early+n]) != "abcdefgh" {
		t.Errorf("got %q, %v", b[:n], err)
	}
	if _, err := nonblock.Recv(fd, b, 0); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("nothing was sent: %v", err)
	}
	_, err = client.Write([]byte("back"))
	must(t, err)
	ready(t, fd)
	n, err := nonblock.Recv(fd, b, unix.MSG_PEEK)
	if again, err2 := nonblock.Recv(fd, b[n:], 0); n != 4 || again != 4 || string(b[:8]) != "backback" {
		t.Errorf("%d %d %q %v %v", n, again, b[:8], err, err2)
	}
	must(t, client.CloseWrite())
	ready(t, fd)
	if n, err := nonblock.Recv(fd, b, 0); n != 0 || err != nil {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

// Where a connection takes no more, a whole is not cut.
func TestSendWhole(t *testing.T) {
	fd, client, _ := accepted(t, "tcp", "127.0.0.1:0")
	must(t, nonblock.SendWhole(fd, []byte("header")))
	b := make([]byte, 64)
	if n, err := client.Read(b); err != nil || string(b[:n]) != "header" {
		t.Fatalf("%q, %v", b[:n], err)
	}
	for full := make([]byte, 1<<20); ; {
		if _, err := nonblock.Send(fd, full, 0); err != nil {
			break
		}
	}
	if err := nonblock.SendWhole(fd, []byte("header")); err != unix.ENOBUFS {
		t.Errorf("%v, want ENOBUFS", err)
	}
	must(t, client.Close())
}

func TestSendToOneWhoLeft(t *testing.T) {
	fd, client, _ := accepted(t, "tcp", "127.0.0.1:0")
	must(t, client.SetLinger(0))
	must(t, client.Close())
	ready(t, fd)
	pending, failed := nonblock.GetError(fd)
	if !errors.Is(pending, unix.ECONNRESET) || failed != nil {
		t.Errorf("pending %v, failed %v", pending, failed)
	}
	if pending, _ := nonblock.GetError(fd); pending != nil {
		t.Errorf("the error was not cleared: %v", pending)
	}
	if _, err := nonblock.Send(fd, []byte("x"), 0); !errors.Is(err, unix.EPIPE) {
		t.Errorf("send: %v", err)
	}
	if _, failed := nonblock.GetError(-1); !errors.Is(failed, unix.EBADF) {
		t.Errorf("no socket: %v", failed)
	}
}

func TestSpliceAndPipe(t *testing.T) {
	from, client, _ := accepted(t, "tcp", "127.0.0.1:0")
	to, server, _ := accepted(t, "tcp", "127.0.0.1:0")
	r, w, held, err := nonblock.Pipe2(256 << 10)
	must(t, err)
	defer unix.Close(r)
	defer unix.Close(w)
	if held != 256<<10 {
		t.Errorf("the pipe holds %d", held)
	}
	if _, err := nonblock.Splice(from, w, held); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("nothing to splice: %v", err)
	}
	_, err = client.Write([]byte("without a copy"))
	must(t, err)
	ready(t, from)
	in, err := nonblock.Splice(from, w, held)
	must(t, err)
	out, err := nonblock.Splice(r, to, in)
	must(t, err)
	b := make([]byte, out)
	if _, err := io.ReadFull(server, b); err != nil || string(b) != "without a copy" {
		t.Errorf("%q, %v", b, err)
	}
	must(t, client.CloseWrite())
	ready(t, from)
	if n, err := nonblock.Splice(from, w, held); n != 0 || err != nil {
		t.Errorf("at the end: %d, %v", n, err)
	}
	must(t, nonblock.Shutdown(to, unix.SHUT_WR))
	if n, err := server.Read(b); n != 0 || err != io.EOF {
		t.Errorf("after Shutdown: %d, %v", n, err)
	}
}

// A size that is refused leaves the pipe as it was made.
func TestPipe2RefusedSize(t *testing.T) {
	r, w, held, err := nonblock.Pipe2(3 << 30)
	must(t, err)
	defer unix.Close(r)
	defer unix.Close(w)
	if size, err := unix.FcntlInt(uintptr(w), unix.F_GETPIPE_SZ, 0); err != nil || size != held || held <= 0 {
		t.Errorf("held %d, the kernel says %d, %v", held, size, err)
	}
}

func TestBind(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	fd, err := nonblock.Stream(unix.AF_INET)
	must(t, err)
	defer unix.Close(fd)
	must(t, nonblock.SetInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1))
	must(t, nonblock.Bind(fd, netip.MustParseAddrPort("127.0.0.9:0")))
	if at, err := nonblock.Local(fd); err != nil || at.Port() != 0 {
		t.Errorf("bound to %v before the destination was known, %v", at, err)
	}
	if err := nonblock.Connect(fd, listener.Addr().(*net.TCPAddr).AddrPort()); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		t.Fatal(err)
	}
	c, err := listener.Accept()
	must(t, err)
	defer c.Close()
	if from := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); from != netip.MustParseAddr("127.0.0.9") {
		t.Errorf("came from %v", from)
	}
	if err := nonblock.Bind(fd, netip.MustParseAddrPort("[::1]:0")); err == nil {
		t.Error("an IPv6 address was bound to an IPv4 socket")
	}
}

func TestEpoll(t *testing.T) {
	fd, client, _ := accepted(t, "tcp", "127.0.0.1:0")
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	must(t, err)
	defer unix.Close(epoll)
	events := make([]unix.EpollEvent, 2)
	see := func(step string, want int, data uint64) {
		t.Helper()
		n, err := nonblock.Events(epoll, events)
		if err != nil || n != want || n == 1 && nonblock.Data(&events[0]) != data {
			t.Errorf("%s: %d events of %x, want %d of %x; %v", step, n, nonblock.Data(&events[0]), want, data, err)
		}
	}
	const first, second = 0xfedcba98_87654321, 7
	must(t, nonblock.Add(epoll, fd, unix.EPOLLOUT|unix.EPOLLONESHOT, first))
	see("added", 1, first)
	see("one shot", 0, 0)
	must(t, nonblock.Modify(epoll, fd, unix.EPOLLOUT|unix.EPOLLIN, second))
	see("armed again", 1, second)
	must(t, nonblock.Delete(epoll, fd))
	_, err = client.Write([]byte("x"))
	must(t, err)
	see("deleted", 0, 0)
	if err := nonblock.Modify(epoll, fd, unix.EPOLLIN, 0); !errors.Is(err, unix.ENOENT) {
		t.Errorf("modify what is not there: %v", err)
	}
}

// None of the calls allocates.
func TestAllocations(t *testing.T) {
	fd, client, _ := accepted(t, "tcp", "127.0.0.1:0")
	go io.Copy(client, client)
	out, in := []byte("0123456789"), make([]byte, 64)
	r, w, _, err := nonblock.Pipe2(0)
	must(t, err)
	defer unix.Close(r)
	defer unix.Close(w)
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	must(t, err)
	defer unix.Close(epoll)
	must(t, nonblock.Add(epoll, fd, unix.EPOLLIN, 1))
	to := netip.MustParseAddrPort("127.0.0.1:0")
	got := testing.AllocsPerRun(100, func() {
		_, _ = nonblock.Send(fd, out, 0)
		_, _ = nonblock.Recv(fd, in, 0)
		_, _ = nonblock.Splice(fd, w, 64)
		_, _, _ = nonblock.Accept4(fd)
		_ = nonblock.Bind(fd, to)
		_ = nonblock.Modify(epoll, fd, unix.EPOLLIN, 2)
		_, _ = nonblock.Local(fd)
		_, _ = nonblock.Peer(fd)
		_ = nonblock.SendWhole(fd, out)
		_, _ = nonblock.GetError(fd)
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}
