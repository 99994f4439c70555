package outside

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/announce"
)

// Sockets is the segment at an interface of this host. It needs the capability NET_RAW. Make it
// with On.
type Sockets struct {
	// Patience is how long an answer is waited for each time; 0: 400 ms.
	Patience time.Duration

	link *net.Interface
	own  []netip.Prefix
}

var _ Segment = (*Sockets)(nil)

// attempts is how often a port that says nothing is asked.
const attempts = 3

func (s *Sockets) patience() time.Duration {
	if s.Patience == 0 {
		return 400 * time.Millisecond
	}
	return s.Patience
}

func (s *Sockets) prober() announce.Prober {
	return announce.Prober{Network: announce.Sockets{}, Count: attempts, Interval: s.patience()}
}

// On returns the segment of a server: that of the interface whose network holds its address. The
// error says what to do if there is none.
func On(server netip.Addr) (*Sockets, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("outside: list interfaces: %w", err)
	}
	for _, link := range links {
		s := &Sockets{link: &link}
		if err := s.addresses(); err != nil {
			return nil, err
		}
		if len(link.HardwareAddr) == len(announce.MAC{}) && s.source(server).IsValid() {
			return s, nil
		}
	}
	return nil, fmt.Errorf("outside: no interface of this host is in the network of %s: "+
		"run this on a director, which must be on the segment of its servers, or on the server itself without --server", server)
}

func (s *Sockets) addresses() error {
	all, err := s.link.Addrs()
	if err != nil {
		return fmt.Errorf("outside: addresses of %s: %w", s.link.Name, err)
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.IsSingleIP() {
			s.own = append(s.own, p)
		}
	}
	return nil
}

// source is the own address to reach a host of the segment from; invalid if it is not of it.
func (s *Sockets) source(to netip.Addr) netip.Addr {
	for _, p := range s.own {
		if p.Contains(to) {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// sourceFor is source, or else any own address of the family: a virtual address may be of another
// network.
func (s *Sockets) sourceFor(vip netip.Addr) netip.Addr {
	own := s.source(vip)
	for _, p := range s.own {
		if !own.IsValid() && p.Addr().Is4() == vip.Is4() && !p.Addr().IsLinkLocalUnicast() {
			own = p.Addr()
		}
	}
	return own
}

// Resolve implements Segment.
func (s *Sockets) Resolve(ctx context.Context, address netip.Addr) (net.HardwareAddr, error) {
	return s.prober().Resolve(ctx, s.link.Name, address)
}

// Holders implements Segment.
func (s *Sockets) Holders(ctx context.Context, address netip.Addr) ([]net.HardwareAddr, error) {
	return s.prober().Holders(ctx, s.link.Name, address)
}

// Knock implements Segment.
func (s *Sockets) Knock(ctx context.Context, to net.HardwareAddr, address netip.Addr, ports []uint16) (map[uint16]Answer, error) {
	own := s.sourceFor(address)
	if !own.IsValid() {
		return nil, fmt.Errorf("%s has no address of the family of %s to ask from: give it one", s.link.Name, address)
	}
	protocol := unix.ETH_P_IP
	if address.Is6() {
		protocol = unix.ETH_P_IPV6
	}
	conn, err := packet.Listen(s.link, packet.Datagram, protocol, nil)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket on %s (run this as root): %w", s.link.Name, err)
	}
	defer conn.Close()
	k := knock{conn: conn, to: to, own: own, vip: address, answers: map[uint16]Answer{}, sequence: rand.Uint32(), patience: s.patience()}
	for range attempts {
		if err := k.round(ctx, ports); err != nil {
			return nil, err
		}
	}
	return k.answers, nil
}

// knock is one question to one host.
type knock struct {
	conn     *packet.Conn
	to       net.HardwareAddr
	own, vip netip.Addr
	sequence uint32
	patience time.Duration
	answers  map[uint16]Answer
}

// round asks at all ports that have not answered, each from a port that this host is unlikely to use.
func (k *knock) round(ctx context.Context, ports []uint16) error {
	local := uint16(1024 + rand.IntN(16384))
	asked := 0
	for _, port := range ports {
		if k.answers[port] != Silent {
			continue
		}
		asked++
		b := syn(netip.AddrPortFrom(k.own, local), netip.AddrPortFrom(k.vip, port), k.sequence)
		if _, err := k.conn.WriteTo(b, &packet.Addr{HardwareAddr: k.to}); err != nil {
			return fmt.Errorf("send to %s: %w", k.to, err)
		}
	}
	if asked == 0 {
		return nil
	}
	return k.listen(ctx, local)
}

func (k *knock) listen(ctx context.Context, local uint16) error {
	if err := k.conn.SetReadDeadline(time.Now().Add(k.patience)); err != nil {
		return err
	}
	buffer := make([]byte, 2048)
	for {
		n, sender, err := k.conn.ReadFrom(buffer)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return fmt.Errorf("receive: %w", err)
		}
		mac, _ := sender.(*packet.Addr)
		from, to, answer, acknowledged, ok := parse(buffer[:n])
		if ok && mac != nil && bytes.Equal(mac.HardwareAddr, k.to) && from.Addr() == k.vip &&
			to == netip.AddrPortFrom(k.own, local) && acknowledged == k.sequence+1 {
			k.answers[from.Port()] = answer
		}
	}
}
