package preflight

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// knocks is how often a server is asked, knockWait how long it may take to answer each time.
const (
	knocks    = 3
	knockWait = 400 * time.Millisecond
)

// Way is how this host reaches a server of its segment.
type Way struct {
	// Interface is the name of the interface, Index its number, 0 if it is not known. From is an address
	// of this host that the server can answer to.
	Interface string
	Index     int
	From      netip.Addr
	// MAC is the server's.
	MAC net.HardwareAddr
}

// Accepts tells whether a server takes TCP packets to an address and port, which need not be the
// one that it is reached by: it is asked as direct routing would bring a packet, by its MAC
// address. It answers a first packet, with yes or no, and is told that it was a mistake before its
// software hears of a connection. No answer may also mean a firewall.
func (Host) Accepts(ctx context.Context, way Way, to netip.AddrPort) (bool, error) {
	k := knock{
		from:     netip.AddrPortFrom(way.From, uint16(49152+rand.IntN(1<<14))), // RFC 6335 section 6
		to:       to,
		sequence: rand.Uint32(),
	}
	if k.from.Addr().Is4() != to.Addr().Is4() {
		return false, fmt.Errorf("ask %s for %s: %s is of another family", way.MAC, to, way.From)
	}
	conn, err := k.listen(way)
	if err != nil {
		return false, fmt.Errorf("ask %s on %s for %s: %w", way.MAC, way.Interface, to, err)
	}
	defer conn.Close()
	server := &packet.Addr{HardwareAddr: way.MAC}
	for range knocks {
		if _, err := conn.WriteTo(k.packet(flagSYN, k.sequence), server); err != nil {
			return false, fmt.Errorf("ask %s on %s for %s: %w", way.MAC, way.Interface, to, err)
		}
		yes, err := k.await(ctx, conn)
		if yes {
			_, err = conn.WriteTo(k.packet(flagRST, k.sequence+1), server)
		}
		if yes || err != nil {
			return yes, err
		}
	}
	return false, nil
}

// TCP flags (RFC 9293 section 3.1).
const (
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

// Sizes and offsets of headers in bytes (RFC 8200 section 3, RFC 9293 section 3.1).
const (
	ip6Header  = 40
	tcpHeader  = 20
	probeHops  = 1 // who does not have the address must not send it on
	noFragment = 0x4000
)

// knock is a first TCP packet of a connection that nobody wants.
type knock struct {
	from, to netip.AddrPort
	sequence uint32
}

func (k knock) listen(way Way) (*packet.Conn, error) {
	i := &net.Interface{Index: way.Index, Name: way.Interface}
	if i.Index == 0 {
		var err error
		if i, err = net.InterfaceByName(way.Interface); err != nil {
			return nil, err
		}
	}
	filter, err := bpf.Assemble(k.filter())
	if err != nil {
		return nil, err
	}
	kind := unix.ETH_P_IPV6
	if k.to.Addr().Is4() {
		kind = unix.ETH_P_IP
	}
	return packet.Listen(i, packet.Datagram, kind, &packet.Config{Filter: filter})
}

// filter lets in what may be an answer, so that the host's traffic is not copied. Offsets count
// from the network header.
func (k knock) filter() []bpf.Instruction {
	protocol, source, address := bpf.LoadAbsolute{Off: 6, Size: 1}, bpf.LoadAbsolute{Off: 20, Size: 4}, k.to.Addr().AsSlice()
	var port []bpf.Instruction
	if k.to.Addr().Is4() {
		protocol.Off, source.Off = 9, 12
		port = []bpf.Instruction{bpf.LoadMemShift{Off: 0}, bpf.LoadIndirect{Off: 2, Size: 2}}
	} else {
		port = []bpf.Instruction{bpf.LoadConstant{Dst: bpf.RegX, Val: ip6Header}, bpf.LoadIndirect{Off: 2, Size: 2}}
	}
	return slices.Concat([]bpf.Instruction{
		protocol, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_TCP, SkipTrue: 6},
		source, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(address[len(address)-4:]), SkipTrue: 4},
	}, port, []bpf.Instruction{
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(k.from.Port()), SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{Val: 0},
	})
}

// packet is the knock with other flags and number.
func (k knock) packet(flags byte, sequence uint32) []byte {
	source, target := k.from.Addr().AsSlice(), k.to.Addr().AsSlice()
	tcp := make([]byte, tcpHeader)
	binary.BigEndian.PutUint16(tcp[0:], k.from.Port())
	binary.BigEndian.PutUint16(tcp[2:], k.to.Port())
	binary.BigEndian.PutUint32(tcp[4:], sequence)
	tcp[12], tcp[13] = tcpHeader/4<<4, flags
	binary.BigEndian.PutUint16(tcp[14:], 1<<10) // window
	pseudo := slices.Concat(source, target, []byte{0, unix.IPPROTO_TCP, 0, tcpHeader}, tcp)
	binary.BigEndian.PutUint16(tcp[16:], ^onesSum(pseudo))
	if k.to.Addr().Is6() {
		ip := make([]byte, 8)
		ip[0], ip[6], ip[7] = 0x60, unix.IPPROTO_TCP, probeHops
		binary.BigEndian.PutUint16(ip[4:], tcpHeader)
		return slices.Concat(ip, source, target, tcp)
	}
	ip := make([]byte, 12)
	ip[0], ip[8], ip[9] = 0x45, probeHops, unix.IPPROTO_TCP
	binary.BigEndian.PutUint16(ip[2:], ipHeader+tcpHeader)
	binary.BigEndian.PutUint16(ip[6:], noFragment)
	ip = slices.Concat(ip, source, target)
	binary.BigEndian.PutUint16(ip[10:], ^onesSum(ip))
	return append(ip, tcp...)
}

// answered tells whether an IP packet is an answer to the knock, yes or no.
func (k knock) answered(b []byte) bool {
	tcp := k.transport(b)
	if len(tcp) < tcpHeader {
		return false
	}
	flags := tcp[13] & (flagSYN | flagRST | flagACK)
	return binary.BigEndian.Uint16(tcp[0:]) == k.to.Port() && binary.BigEndian.Uint16(tcp[2:]) == k.from.Port() &&
		binary.BigEndian.Uint32(tcp[8:]) == k.sequence+1 && (flags == flagSYN|flagACK || flags == flagRST|flagACK)
}

// transport is what follows the IP header of a packet from the asked address; nil: it is none.
func (k knock) transport(b []byte) []byte {
	var source, header, protocol int
	switch {
	case k.to.Addr().Is4() && len(b) >= ipHeader && b[0]>>4 == 4:
		source, header, protocol = 12, int(b[0]&0xf)*4, int(b[9])
	case k.to.Addr().Is6() && len(b) >= ip6Header && b[0]>>4 == 6:
		source, header, protocol = 8, ip6Header, int(b[6])
	default:
		return nil
	}
	size := k.to.Addr().BitLen() / 8
	from, _ := netip.AddrFromSlice(b[source : source+size])
	if from != k.to.Addr() || protocol != unix.IPPROTO_TCP || header < ipHeader || len(b) < header {
		return nil
	}
	return b[header:]
}

// await waits for an answer to one knock.
func (k knock) await(ctx context.Context, conn *packet.Conn) (bool, error) {
	deadline := time.Now().Add(knockWait)
	if end, has := ctx.Deadline(); has && end.Before(deadline) {
		deadline = end
	}
	if err := conn.SetReadDeadline(deadline); err != nil {
		return false, err
	}
	buffer := make([]byte, 256)
	for ctx.Err() == nil {
		n, _, err := conn.ReadFrom(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("wait for an answer: %w", err)
		}
		if k.answered(buffer[:n]) {
			return true, nil
		}
	}
	return false, ctx.Err()
}
