package talk

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Serve answers TCP and UDP of both families on ports until a socket fails.
func Serve(name string, ports []uint16) error {
	failed := make(chan error)
	for _, port := range ports {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		go func() { failed <- accept(l, name) }()
		for network, serve := range map[string]func(net.PacketConn, string) error{"udp4": packets4, "udp6": packets6} {
			c, err := net.ListenPacket(network, fmt.Sprintf(":%d", port))
			if err != nil {
				return err
			}
			go func() { failed <- serve(c, name) }()
		}
	}
	return <-failed
}

func accept(l net.Listener, name string) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			_ = converse(c, name) // the client tells
		}()
	}
}

// converse carries out commands: WHO, PUT bytes, GET bytes seed.
func converse(c net.Conn, name string) error {
	r := bufio.NewReaderSize(c, 1<<16)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		var n int64
		var seed uint64
		switch strings.Fields(line + " ?")[0] {
		case "WHO":
			_, err = fmt.Fprintf(c, "%s\n", answer(name, addrPort(c.RemoteAddr())))
		case "PUT":
			if _, err = fmt.Sscanf(line, "PUT %d", &n); err == nil {
				err = take(c, r, n)
			}
		case "GET":
			if _, err = fmt.Sscanf(line, "GET %d %d", &n, &seed); err == nil {
				err = send(c, n, seed)
			}
		default:
			err = errors.New("unknown command")
		}
		if err != nil {
			return err
		}
	}
}

func take(c io.Writer, r io.Reader, n int64) error {
	got, err := sum(r, n)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c, "%016x\n", got)
	return err
}

// answer says who answers and whom it sees.
func answer(name string, client netip.AddrPort) string { return name + " " + client.String() }

func addrPort(a net.Addr) netip.AddrPort {
	p := netip.MustParseAddrPort(a.String())
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// packets4 answers from the address that a datagram came to, as a server for virtual IPs has to.
func packets4(c net.PacketConn, name string) error {
	p := ipv4.NewPacketConn(c)
	if err := p.SetControlMessage(ipv4.FlagDst, true); err != nil {
		return err
	}
	b := make([]byte, 1<<16)
	for {
		n, control, from, err := p.ReadFrom(b)
		if err != nil {
			return err
		}
		reply := append([]byte(answer(name, addrPort(from))+" "), b[:n]...)
		if _, err := p.WriteTo(reply, &ipv4.ControlMessage{Src: control.Dst}, from); err != nil {
			return err
		}
	}
}

func packets6(c net.PacketConn, name string) error {
	p := ipv6.NewPacketConn(c)
	if err := p.SetControlMessage(ipv6.FlagDst, true); err != nil {
		return err
	}
	b := make([]byte, 1<<16)
	for {
		n, control, from, err := p.ReadFrom(b)
		if err != nil {
			return err
		}
		reply := append([]byte(answer(name, addrPort(from))+" "), b[:n]...)
		if _, err := p.WriteTo(reply, &ipv6.ControlMessage{Src: control.Dst}, from); err != nil {
			return err
		}
	}
}
