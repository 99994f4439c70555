package controlplane

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"

	"github.com/truepacs/balancer/e2e/cluster/process"
)

// Ports are taken from a range below the kernel's ephemeral one, so that no outgoing connection of another
// program sits on the API server's port while a test has it stopped.
const (
	firstPort = 20000
	portRange = 10000
)

func pickPorts(o Options) (p ports, err error) {
	err = process.InNetns(o.Netns, func() error {
		taken := map[uint16]bool{o.Port: true}
		if p.api = o.Port; p.api == 0 {
			if p.api, err = freePort(o.Address, taken); err != nil {
				return err
			}
		}
		loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if p.etcd, err = freePort(loopback, taken); err != nil {
			return err
		}
		p.etcdPeer, err = freePort(loopback, taken)
		return err
	})
	return p, err
}

// freePort finds a port that can be bound on addr now and is not in taken, and adds it there.
func freePort(addr netip.Addr, taken map[uint16]bool) (uint16, error) {
	var last error
	for range 100 {
		port := uint16(firstPort + rand.IntN(portRange))
		if taken[port] {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort(addr.String(), strconv.Itoa(int(port))))
		if err != nil {
			last = err
			continue
		}
		taken[port] = true
		return port, l.Close()
	}
	return 0, fmt.Errorf("no free port on %s between %d and %d: %w", addr, firstPort, firstPort+portRange, last)
}
