package explain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/suite"
)

func names() []string { return slices.Sorted(maps.Keys(services())) }

// visit is one client that was asked about and then came.
type visit struct {
	service  string
	from, to netip.AddrPort
	protocol string
	said     answer
}

func (v visit) String() string {
	return fmt.Sprintf("%s: %s to %s %s: %+v", v.service, v.from, v.to, v.protocol, v.said)
}

// draw makes a client of a kind at random; not two TCP clients have one address and port.
type draw struct {
	*rand.Rand
	ports map[netip.Addr]uint16
	last  map[string][]visit // of UDP, by service
}

func newDraw(seed uint64) *draw {
	return &draw{rand.New(rand.NewPCG(seed, 0)), map[netip.Addr]uint16{}, map[string][]visit{}}
}

// client is an address of the clients' networks; of few, one of 8 networks of 3 clients.
func (d *draw) client(ipv6, few bool) netip.AddrPort {
	a, b := byte(d.IntN(256)), byte(1+d.IntN(254))
	if few {
		a, b = byte(d.IntN(8)), byte(1+d.IntN(3))
	}
	address := netip.AddrFrom4([4]byte{198, 18, a, b})
	if ipv6 {
		six := [16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0x18}
		six[7], six[15] = a, b
		if !few {
			for i := 8; i < 15; i++ {
				six[i] = byte(d.IntN(256))
			}
		}
		address = netip.AddrFrom16(six)
	}
	if d.ports[address] == 0 {
		d.ports[address] = uint16(1024 + d.IntN(30000))
	}
	d.ports[address] += uint16(1 + d.IntN(50))
	return netip.AddrPortFrom(address, d.ports[address])
}

// next draws a service and a client of it; one of four UDP clients comes again from its port.
func (d *draw) next() visit {
	name := names()[d.IntN(len(names()))]
	s := services()[name]
	if old := d.last[name]; len(old) > 0 && d.IntN(4) == 0 {
		return old[d.IntN(len(old))]
	}
	v := d.at(name, uint16(s.port), s.transport(), s.few)
	if v.protocol == "UDP" {
		d.last[name] = append(d.last[name], v)
	}
	return v
}

func (d *draw) at(name string, port uint16, protocol string, few bool) visit {
	ipv6 := d.IntN(2) == 1
	to := netip.MustParseAddr(vip4)
	if ipv6 {
		to = netip.MustParseAddr(vip6)
	}
	return visit{service: name, from: d.client(ipv6, few), to: netip.AddrPortFrom(to, port), protocol: protocol}
}

// dial connects from the client's own address and port.
func (w *world) dial(v visit, patience time.Duration) (net.Conn, error) {
	dialer := net.Dialer{Timeout: patience, KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return joined(c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
		}), &err)
	}}
	dialer.SetMultipathTCP(false)
	network := "tcp"
	dialer.LocalAddr = net.TCPAddrFromAddrPort(v.from)
	if v.protocol == "UDP" {
		network, dialer.LocalAddr = "udp", net.UDPAddrFromAddrPort(v.from)
	}
	var c net.Conn
	err := w.clients.Enter(func() (err error) {
		c, err = dialer.DialContext(context.Background(), network, v.to.String())
		return err
	})
	return c, err
}

func joined(err error, inner *error) error {
	if err != nil {
		return err
	}
	return *inner
}

// come lets a client send a byte and await one, so that packet and answer have passed.
func (w *world) come(v visit) (net.Conn, error) {
	c, err := w.dial(v, 30*time.Second)
	if err != nil {
		return nil, err
	}
	if err := echo(c); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func echo(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write([]byte{1}); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 1))
	return err
}

// settle returns when the director has seen all that was sent to it before: packets keep their order,
// and it refuses this one.
func (w *world) settle(t *testing.T) {
	t.Helper()
	for _, address := range []string{"192.0.2.2:9", "[2001:db8:1::2]:9"} {
		c, err := w.clients.Dial(t.Context(), "tcp", address)
		if err == nil {
			_ = c.Close()
			t.Fatalf("somebody answers at %s", address)
		}
	}
}

// serve answers on all ports of all services on the servers, and on that of the checks.
func (w *world) serve(t *testing.T) {
	t.Helper()
	for _, host := range w.servers {
		ports := map[string]bool{"TCP 7000": true}
		for _, s := range services() {
			ports[fmt.Sprintf("%s %d", s.transport(), s.port)] = true
		}
		for at := range ports {
			var protocol string
			var port int
			if _, err := fmt.Sscanf(at, "%s %d", &protocol, &port); err != nil {
				t.Fatal(err)
			}
			if protocol == "TCP" {
				serveTCP(t, host, port)
			} else {
				serveUDP(t, host, port)
			}
		}
	}
}

// serveTCP answers each read with as much until the client has no more.
func serveTCP(t *testing.T, host *lab.Namespace, port int) {
	t.Helper()
	suite.Must(t, host.Serve(t.Context(), "tcp", fmt.Sprintf("[::]:%d", port), func(c net.Conn) {
		b := make([]byte, 16)
		for {
			n, err := c.Read(b)
			if err == nil {
				_, err = c.Write(b[:n])
			}
			if err != nil {
				return
			}
		}
	}))
}

// serveUDP answers from the addresses that clients send to: one socket each, since a socket for all
// would answer with the server's own.
func serveUDP(t *testing.T, host *lab.Namespace, port int) {
	t.Helper()
	for _, vip := range []string{vip4, vip6} {
		conn, err := host.ListenPacket(t.Context(), "udp", netip.AddrPortFrom(netip.MustParseAddr(vip), uint16(port)).String())
		suite.Must(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		go func() {
			b := make([]byte, 16)
			for {
				n, from, err := conn.ReadFrom(b)
				if err != nil {
					return
				}
				if _, err := conn.WriteTo(b[:n], from); err != nil {
					return
				}
			}
		}()
	}
}

func sortedBy[T any](all []T, compare func(a, b T) int) []T {
	slices.SortStableFunc(all, compare)
	return all
}
