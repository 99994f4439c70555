// Answer stands in for every program of a host that listens on all its addresses: it takes
// arguments such as tcp:104 and udp:514 and tells each client, in one line, the name of the host and
// the client's address.
package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/truepacs/balancer/e2e/talk"
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
			for _, network := range []string{"udp4", "udp6"} {
				go func() {
					failed <- talk.Datagrams(network, ":"+port, func(client netip.AddrPort, _ []byte) []byte { return line(name, client.Addr()) })
				}()
			}
		}
	}
	if err == nil {
		err = <-failed
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func line(name string, client netip.Addr) []byte { return []byte(name + " " + client.String() + "\n") }

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
		_, _ = c.Write(line(name, netip.MustParseAddrPort(c.RemoteAddr().String()).Addr().Unmap()))
		_ = c.Close()
	}
}
