package announce

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Sockets is the network of the calling thread's network namespace; it needs the capability
// NET_RAW.
type Sockets struct{}

var _ Network = Sockets{}

// Interface implements Network.
func (Sockets) Interface(name string) (Interface, error) {
	i, err := named(name)
	if err != nil {
		return Interface{}, err
	}
	return describe(i)
}

func named(name string) (*net.Interface, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w: %w", name, ErrNoInterface, err)
	}
	return i, nil
}

// OwnMACs implements Network.
func (Sockets) OwnMACs() ([]MAC, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	return macsOf(all), nil
}

// Open implements Network. A port that only sends gets a filter that lets nothing in, so that
// the network's packets do not pile up in its buffer.
func (Sockets) Open(name string, kind Kind, listen *Listen) (Port, error) {
	i, err := named(name)
	if err != nil {
		return nil, err
	}
	return open(i, kind, listen)
}

func open(i *net.Interface, kind Kind, listen *Listen) (Port, error) {
	filter, err := bpf.Assemble(filterOf(kind, listen != nil))
	if err != nil {
		return nil, err
	}
	protocol := map[Kind]int{ARP: unix.ETH_P_ARP, NDP: unix.ETH_P_IPV6}[kind]
	conn, err := packet.Listen(i, packet.Datagram, protocol, &packet.Config{Filter: filter})
	if err != nil {
		return nil, fmt.Errorf("open a packet socket on %s: %w", i.Name, err)
	}
	if listen != nil {
		err = join(conn, listen.Groups)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("receive groups on %s: %w", i.Name, err)
	}
	return socket{conn}, nil
}

func join(conn *packet.Conn, groups []MAC) error {
	for _, group := range groups {
		if err := conn.JoinGroup(group[:]); err != nil {
			return err
		}
	}
	return nil
}

// filterOf returns what a port lets in, so that it is not woken by the host's whole traffic.
// Offsets count from the network header.
func filterOf(kind Kind, listen bool) []bpf.Instruction {
	const everything = 1 << 16
	switch {
	case !listen:
		return []bpf.Instruction{bpf.RetConstant{Val: 0}}
	case kind == ARP:
		return []bpf.Instruction{bpf.RetConstant{Val: everything}}
	}
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 6, Size: 1}, // next header
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolICMP, SkipTrue: 4},
		bpf.LoadAbsolute{Off: lengthIPv6, Size: 1}, // ICMPv6 type
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: uint32(Solicitation), SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: uint32(Advertisement), SkipTrue: 1},
		bpf.RetConstant{Val: everything},
		bpf.RetConstant{Val: 0},
	}
}

type socket struct{ conn *packet.Conn }

// Send implements Port.
func (s socket) Send(to MAC, b []byte) error {
	_, err := s.conn.WriteTo(b, &packet.Addr{HardwareAddr: to[:]})
	return err
}

// Receive implements Port.
func (s socket) Receive(ctx context.Context, b []byte) (int, MAC, error) {
	deadline, _ := ctx.Deadline()
	if err := s.conn.SetReadDeadline(deadline); err != nil {
		return 0, MAC{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(longAgo()) })
	defer stop()
	n, from, err := s.conn.ReadFrom(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, MAC{}, context.DeadlineExceeded
	}
	var sender MAC
	if a, ok := from.(*packet.Addr); ok {
		copy(sender[:], a.HardwareAddr)
	}
	return n, sender, err
}

// Close implements Port.
func (s socket) Close() error { return s.conn.Close() }
