package nft_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// patience is how long an answer is waited for that has to come.
const patience = 20 * time.Second

// neighbour is a host in a network namespace of its own, on a thread that ends with the test.
type neighbour struct{ work chan func() }

// newNeighbour connects the test's namespace, in which the interface is called tp0, with another
// host's. The test's side has 192.0.2.2 and 2001:db8::2, the other 192.0.2.50 and 2001:db8::50.
func newNeighbour(t *testing.T) *neighbour {
	t.Helper()
	n := &neighbour{work: make(chan func())}
	thread := make(chan int)
	go n.live(thread)
	t.Cleanup(func() { close(n.work) })
	id := <-thread
	if id < 0 {
		t.Fatal("make a network namespace: run this test as root")
	}
	netnstest.Veth(t, "tp0", "tp1")
	netnstest.Run(t, "ip", "link", "set", "tp1", "netns", strconv.Itoa(id))
	equip(t, "tp0", 2)
	n.do(func() {
		netnstest.Run(t, "ip", "link", "set", "lo", "up")
		netnstest.Run(t, "ip", "link", "set", "tp1", "up")
		equip(t, "tp1", 50)
	})
	return n
}

// live does the neighbour's work; its thread is not given back.
func (n *neighbour) live(thread chan<- int) {
	runtime.LockOSThread()
	if unix.Unshare(unix.CLONE_NEWNET) != nil {
		thread <- -1
		return
	}
	thread <- unix.Gettid()
	for f := range n.work {
		f()
	}
}

// do runs f in the neighbour's namespace. A fatal failure in it would end the neighbour.
func (n *neighbour) do(f func()) {
	done := make(chan struct{})
	n.work <- func() { defer close(done); f() }
	<-done
}

func equip(t *testing.T, nic string, last int) {
	netnstest.Run(t, "ip", "addr", "add", fmt.Sprintf("192.0.2.%d/24", last), "dev", nic)
	netnstest.Run(t, "ip", "addr", "add", fmt.Sprintf("2001:db8::%d/64", last), "dev", nic, "nodad")
}

// holdVIPs puts virtual addresses on the test's host.
func holdVIPs(t *testing.T, all ...string) {
	for _, a := range all {
		address := netip.MustParseAddr(a)
		argv := []string{"addr", "add", netip.PrefixFrom(address, address.BitLen()).String(), "dev", "tp0"}
		if address.Is6() {
			argv = append(argv, "nodad")
		}
		netnstest.Run(t, "ip", argv...)
	}
}

// checksummed has the neighbour make checksums and the test's host look at them, as with a wire
// between them; else the kernel knows that packets never left the machine.
func (n *neighbour) checksummed(t *testing.T) {
	t.Helper()
	const setReceive, setSend = 0x15, 0x17 // ETHTOOL_SRXCSUM, ETHTOOL_STXCSUM (linux/ethtool.h)
	var send error
	n.do(func() { send = turnOff("tp1", setSend) })
	if err := errors.Join(send, turnOff("tp0", setReceive)); err != nil {
		t.Fatalf("turn checksum offload off: %v", err)
	}
}

func turnOff(nic string, command uint32) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	value := struct{ command, data uint32 }{command, 0}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&value)}
	copy(request.name[:], nic)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return nil
}

// listen opens a listener on the test's host that echoes; it counts connections.
func listen(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			go echo(conn)
		}
	}()
}

func echo(conn net.Conn) {
	b := make([]byte, 100)
	for {
		n, err := conn.Read(b)
		if err != nil {
			return
		}
		if _, err := conn.Write(b[:n]); err != nil {
			return
		}
	}
}

// dial connects from the neighbour.
func (n *neighbour) dial(t *testing.T, address string) net.Conn {
	t.Helper()
	var conn net.Conn
	var err error
	n.do(func() { conn, err = net.DialTimeout("tcp", address, patience) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// exchange sends a word that has to come back.
func exchange(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("echo")); err != nil {
		return err
	}
	_, err := conn.Read(make([]byte, 100))
	return err
}

// scan tells what each port of an address does with a connection attempt: open, refused or
// silent, as a port scanner would.
func (n *neighbour) scan(t *testing.T, address netip.Addr, ports []uint16) map[string][]uint16 {
	t.Helper()
	var polls []unix.PollFd
	n.do(func() {
		for _, port := range ports {
			fd, err := attempt(address, port)
			if err != nil {
				t.Errorf("scan port %d: %v", port, err)
			}
			polls = append(polls, unix.PollFd{Fd: int32(fd), Events: unix.POLLOUT})
		}
	})
	answered := map[int]string{}
	// Silence is what is left once nothing has answered for a while.
	for waits := 0; waits < 3; waits++ {
		if settle(polls, answered) {
			waits = 0
		}
	}
	found := map[string][]uint16{}
	for i, port := range ports {
		state := answered[i]
		if state == "" {
			state = "silent"
			_ = unix.Close(int(polls[i].Fd))
		}
		found[state] = append(found[state], port)
	}
	return found
}

// probe sends TCP packets with these flags to ports of an address, see netnstest.Scanner.
func (n *neighbour) probe(t *testing.T, address netip.Addr, ports []uint16, flags byte, eyes netip.AddrPort) map[uint16]byte {
	t.Helper()
	host, err := net.InterfaceByName("tp0")
	if err != nil {
		t.Fatal(err)
	}
	scanner := netnstest.Scanner{Do: n.do, Interface: "tp1", Own4: "192.0.2.50", Own6: "2001:db8::50", MAC: host.HardwareAddr}
	return scanner.Ask(t, address, ports, flags, eyes)
}

func attempt(address netip.Addr, port uint16) (int, error) {
	family, to := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(port), Addr: address.As16()})
	if address.Is4() {
		family, to = unix.AF_INET, &unix.SockaddrInet4{Port: int(port), Addr: address.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, to); err != nil && err != unix.EINPROGRESS {
		return fd, err
	}
	return fd, nil
}

// settle waits a third of a second and tells whether somebody answered.
func settle(polls []unix.PollFd, answered map[int]string) bool {
	ready, _ := unix.Poll(polls, 333)
	for i := range polls {
		if polls[i].Fd < 0 || polls[i].Revents == 0 {
			continue
		}
		answered[i] = "refused"
		if code, err := unix.GetsockoptInt(int(polls[i].Fd), unix.SOL_SOCKET, unix.SO_ERROR); err == nil && code == 0 {
			answered[i] = "open"
		}
		_ = unix.Close(int(polls[i].Fd))
		polls[i].Fd = -1
	}
	return ready > 0
}
