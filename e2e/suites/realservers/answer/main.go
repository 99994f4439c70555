// Answer stands in for every program of a host that listens on all its addresses: it takes
// arguments such as tcp:104 and udp:514 and tells each client, in one line, the name of the host and
// the client's address.
package main

import (
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

func main() {
	name, err := os.Hostname()
	failed := make(chan error)
	for _, arg := range os.Args[1:] {
		protocol, port, _ := strings.Cut(arg, ":")
		switch protocol {
		case "tcp":
			go func() { failed <- streams(name, ":"+port) }()
		case "udp":
			go func() { failed <- datagrams4(name, ":"+port) }()
			go func() { failed <- datagrams6(name, ":"+port) }()
		}
	}
	if err == nil {
		err = <-failed
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func line(name string, client net.Addr) []byte {
	host, _, _ := net.SplitHostPort(client.String())
	return []byte(name + " " + host + "\n")
}

func streams(name, address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		_, _ = c.Write(line(name, c.RemoteAddr()))
		_ = c.Close()
	}
}

// datagrams4 answers from the address that was asked.
func datagrams4(name, address string) error {
	c, err := net.ListenPacket("udp4", address)
	if err != nil {
		return err
	}
	p := ipv4.NewPacketConn(c)
	if err := p.SetControlMessage(ipv4.FlagDst, true); err != nil {
		return err
	}
	b := make([]byte, 2048)
	for {
		_, asked, client, err := p.ReadFrom(b)
		if err != nil {
			return err
		}
		_, _ = p.WriteTo(line(name, client), &ipv4.ControlMessage{Src: asked.Dst}, client)
	}
}

func datagrams6(name, address string) error {
	c, err := net.ListenPacket("udp6", address)
	if err != nil {
		return err
	}
	p := ipv6.NewPacketConn(c)
	if err := p.SetControlMessage(ipv6.FlagDst, true); err != nil {
		return err
	}
	b := make([]byte, 2048)
	for {
		_, asked, client, err := p.ReadFrom(b)
		if err != nil {
			return err
		}
		_, _ = p.WriteTo(line(name, client), &ipv6.ControlMessage{Src: asked.Dst}, client)
	}
}
