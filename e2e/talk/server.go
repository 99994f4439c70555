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
		for _, network := range []string{"udp4", "udp6"} {
			go func() { failed <- Datagrams(network, fmt.Sprintf(":%d", port), echo(name)) }()
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

// echo replies with who answers, whom it sees, and the datagram.
func echo(name string) func(netip.AddrPort, []byte) []byte {
	return func(client netip.AddrPort, datagram []byte) []byte {
		return append([]byte(answer(name, client)+" "), datagram...)
	}
}

// answer says who answers and whom it sees.
func answer(name string, client netip.AddrPort) string { return name + " " + client.String() }

func addrPort(a net.Addr) netip.AddrPort {
	p := netip.MustParseAddrPort(a.String())
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// Datagrams answers each datagram, in a network udp4 or udp6, by what reply makes of it: from the address that it came to, as a
// server for virtual IPs has to.
func Datagrams(network, address string, reply func(client netip.AddrPort, datagram []byte) []byte) error {
	c, err := net.ListenPacket(network, address)
	if err != nil {
		return err
	}
	defer c.Close()
	receive, err := addressed(c, network)
	if err != nil {
		return err
	}
	b := make([]byte, 1<<16)
	for {
		n, from, answer, err := receive(b)
		if err != nil {
			return err
		}
		_ = answer(reply(addrPort(from), b[:n])) // the client tells
	}
}

// receive reads a datagram into b; answer sends one back from the address that was asked.
type receive func(b []byte) (n int, from net.Addr, answer func([]byte) error, err error)

func addressed(c net.PacketConn, network string) (receive, error) {
	if network == "udp6" {
		p := ipv6.NewPacketConn(c)
		return func(b []byte) (int, net.Addr, func([]byte) error, error) {
			n, asked, from, err := p.ReadFrom(b)
			return n, from, func(b []byte) error {
				_, err := p.WriteTo(b, &ipv6.ControlMessage{Src: asked.Dst}, from)
				return err
			}, err
		}, p.SetControlMessage(ipv6.FlagDst, true)
	}
	p := ipv4.NewPacketConn(c)
	return func(b []byte) (int, net.Addr, func([]byte) error, error) {
		n, asked, from, err := p.ReadFrom(b)
		return n, from, func(b []byte) error {
			_, err := p.WriteTo(b, &ipv4.ControlMessage{Src: asked.Dst}, from)
			return err
		}, err
	}, p.SetControlMessage(ipv4.FlagDst, true)
}
