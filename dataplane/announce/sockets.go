package announce

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
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
	i, err := net.InterfaceByName(name)
	if err != nil {
		return Interface{}, fmt.Errorf("interface %q: %w: %w", name, ErrNoInterface, err)
	}
	if len(i.HardwareAddr) != len(MAC{}) || i.Flags&net.FlagLoopback != 0 {
		return Interface{}, fmt.Errorf("interface %q: %w", name, ErrNoInterface)
	}
	addresses, err := i.Addrs()
	if err != nil {
		return Interface{}, fmt.Errorf("addresses of interface %q: %w", name, err)
	}
	at := Interface{Index: i.Index, MAC: MAC(i.HardwareAddr), Up: i.Flags&net.FlagUp != 0, Router: forwards(name)}
	for _, a := range addresses {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			at.Addresses = append(at.Addresses, prefix)
		}
	}
	return at, nil
}

// forwards reads the sysctl of which the kernel makes the router flag of its own advertisements.
func forwards(name string) bool {
	b, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + name + "/forwarding")
	return err == nil && len(b) > 0 && b[0] != '0'
}

// OwnMACs implements Network.
func (Sockets) OwnMACs() ([]MAC, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var macs []MAC
	for _, i := range all {
		if len(i.HardwareAddr) == len(MAC{}) {
			macs = append(macs, MAC(i.HardwareAddr))
		}
	}
	return macs, nil
}

// Open implements Network. A port that only sends gets a filter that lets nothing in, so that
// the network's packets do not pile up in its buffer.
func (Sockets) Open(name string, kind Kind, listen *Listen) (Port, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w: %w", name, ErrNoInterface, err)
	}
	filter, err := bpf.Assemble(filterOf(kind, listen != nil))
	if err != nil {
		return nil, err
	}
	protocol := map[Kind]int{ARP: unix.ETH_P_ARP, NDP: unix.ETH_P_IPV6}[kind]
	conn, err := packet.Listen(i, packet.Datagram, protocol, &packet.Config{Filter: filter})
	if err != nil {
		return nil, fmt.Errorf("open a packet socket on %s: %w", name, err)
	}
	if listen != nil {
		err = join(conn, listen.Groups)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("receive groups on %s: %w", name, err)
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
