package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func freebind(_, _ string, raw syscall.RawConn) (err error) {
	if failed := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1) }); failed != nil {
		return failed
	}
	return err
}

func listen(address string) (*net.TCPListener, error) {
	config := net.ListenConfig{Control: freebind}
	config.SetMultipathTCP(false)
	l, err := config.Listen(context.Background(), "tcp4", address)
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

func bind(args []string) error {
	l, err := listen(args[0])
	if err != nil {
		return err
	}
	fmt.Println("bound", l.Addr())
	return l.Close()
}

// keep is the agent: it binds address args[0] before any interface has it, adds the address to interface
// args[1], and hands the listener to whoever connects to the unix socket args[2], which gets mode args[3] and
// group args[4].
func keep(args []string) error {
	l, err := listen(args[0])
	if err != nil {
		return err
	}
	fmt.Println("bound", l.Addr(), "before any interface has it")
	if err := addAddress(args[1], l.Addr().(*net.TCPAddr).IP); err != nil {
		return err
	}
	file, err := l.File()
	if err != nil {
		return err
	}
	unixListener, err := makeSocket(args[2], args[3], args[4])
	if err != nil {
		return err
	}
	go handOut(unixListener, int(file.Fd()))
	waitForStop()
	return unixListener.Close()
}

func addAddress(name string, ip net.IP) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.AddrReplace(link, &netlink.Addr{IPNet: &net.IPNet{IP: ip, Mask: net.CIDRMask(32, 32)}})
}

func makeSocket(path, mode, group string) (*net.UnixListener, error) {
	_ = os.Remove(path)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(group)
	if err != nil {
		return nil, err
	}
	if gid != 0 {
		if err := os.Chown(path, -1, gid); err != nil {
			return nil, err
		}
	}
	bits, err := strconv.ParseUint(mode, 8, 32)
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(path, os.FileMode(bits))
}

func handOut(l *net.UnixListener, fd int) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return
		}
		_, _, err = conn.WriteMsgUnix([]byte{1}, unix.UnixRights(fd), nil)
		fmt.Println("listener handed out, error:", err)
		conn.Close()
	}
}

// receive connects to the unix socket and takes the listener.
func receive(path string) (net.Listener, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	oob := make([]byte, 64)
	_, n, _, _, err := conn.ReadMsgUnix(make([]byte, 1), oob)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("%d control messages: %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	return net.FileListener(os.NewFile(uintptr(fds[0]), "listener"))
}

// serve is the proxy: it takes the listener from socket args[0] and answers with its process id and args[1].
// SIGTERM makes it stop accepting, finish the connection in hand and end.
func serve(args []string) error {
	l, err := receive(args[0])
	if err != nil {
		return err
	}
	fmt.Println("took", l.Addr())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		answer(l, args[1])
	}()
	waitForStop()
	err = l.Close() // this process's copy: the socket itself stays with the keeper, and queues
	<-ended
	return err
}

func answer(l net.Listener, name string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintf(conn, "%s started %d\n", name, started.UnixMilli())
		conn.Close()
	}
}

var started = time.Now()

// fetch only takes the listener, to see whether it is allowed to.
func fetch(args []string) error {
	l, err := receive(args[0])
	if err != nil {
		return err
	}
	fmt.Println("took", l.Addr())
	return l.Close()
}

// socketOnly tries to make a unix socket, to see whether it is allowed to.
func socketOnly(args []string) error {
	l, err := net.Listen("unix", args[0])
	if err != nil {
		return err
	}
	fmt.Println("made", args[0])
	return l.Close()
}
