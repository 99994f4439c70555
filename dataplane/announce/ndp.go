package announce

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// NeighborType is the ICMPv6 type of a Neighbor message.
type NeighborType uint8

// Types of messages (RFC 4861 sections 4.3 and 4.4).
const (
	Solicitation  NeighborType = 135
	Advertisement NeighborType = 136
)

// Neighbor is a neighbour solicitation or advertisement with its IPv6 header.
type Neighbor struct {
	Type NeighborType
	// Source and Destination are those of the IPv6 header; the unspecified address as source is
	// that of duplicate address detection.
	Source, Destination netip.Addr
	// Target is the address that is asked for or advertised.
	Target netip.Addr
	// LinkLayer is the link-layer address option: the sender's in a solicitation, the target's
	// in an advertisement. The zero MAC: there is none.
	LinkLayer MAC
	// Router, Solicited and Override are the flags of an advertisement.
	Router, Solicited, Override bool
}

// Errors of ParseNeighbor; each says what about the packet is not as RFC 4861 sections 7.1.1 and
// 7.1.2 have it.
var (
	ErrNotNeighbor      = errors.New("not an IPv6 packet with a neighbour solicitation or advertisement")
	ErrNeighborLength   = errors.New("neighbour message is shorter or longer than it says")
	ErrNeighborHops     = errors.New("neighbour message was forwarded: its hop limit is not 255")
	ErrNeighborChecksum = errors.New("neighbour message has a wrong checksum")
	ErrNeighborAddress  = errors.New("neighbour message has addresses that do not go together")
	ErrNeighborOption   = errors.New("neighbour message has an option of length zero, a cut one, or a second or empty link-layer address")
)

// Layout, in bytes: IPv6 header (RFC 8200 section 3), message up to its options, one option.
const (
	lengthIPv6   = 40
	lengthND     = 24
	lengthOption = 8
	protocolICMP = 58
	hopLimit     = 255
)

// Types of options (RFC 4861 section 4.6.1).
const (
	optionSource = 1
	optionTarget = 2
)

// Bits of an advertisement's flags.
const (
	flagRouter    = 0x80
	flagSolicited = 0x40
	flagOverride  = 0x20
)

// ParseNeighbor reads an IPv6 packet; it allocates nothing but errors. Bytes after the packet are
// padding and ignored, other options are passed over.
func ParseNeighbor(b []byte) (Neighbor, error) {
	if len(b) < lengthIPv6+lengthND || len(b) > maxPayload {
		return Neighbor{}, fmt.Errorf("%w: %d bytes", ErrNeighborLength, len(b))
	}
	if b[0]>>4 != 6 || b[6] != protocolICMP {
		return Neighbor{}, ErrNotNeighbor
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length < lengthND || length > len(b)-lengthIPv6 {
		return Neighbor{}, fmt.Errorf("%w: payload of %d bytes", ErrNeighborLength, length)
	}
	body := b[lengthIPv6 : lengthIPv6+length]
	n := Neighbor{
		Type:        NeighborType(body[0]),
		Source:      netip.AddrFrom16([16]byte(b[8:24])),
		Destination: netip.AddrFrom16([16]byte(b[24:40])),
		Target:      netip.AddrFrom16([16]byte(body[8:24])),
	}
	switch {
	case n.Type != Solicitation && n.Type != Advertisement, body[1] != 0:
		return Neighbor{}, ErrNotNeighbor
	case b[7] != hopLimit:
		return Neighbor{}, ErrNeighborHops
	case checksum(b[8:40], body) != 0:
		return Neighbor{}, ErrNeighborChecksum
	}
	if n.Type == Advertisement {
		n.Router, n.Solicited, n.Override = body[4]&flagRouter != 0, body[4]&flagSolicited != 0, body[4]&flagOverride != 0
	}
	if err := n.readOptions(body[lengthND:]); err != nil {
		return Neighbor{}, err
	}
	return n, n.check()
}

func (n *Neighbor) readOptions(b []byte) error {
	for len(b) > 0 {
		if len(b) < lengthOption || b[1] == 0 || len(b) < 8*int(b[1]) {
			return ErrNeighborOption
		}
		if b[0] == n.option() {
			if b[1] != 1 || n.LinkLayer != (MAC{}) || MAC(b[2:8]) == (MAC{}) {
				return ErrNeighborOption
			}
			n.LinkLayer = MAC(b[2:8])
		}
		b = b[8*int(b[1]):]
	}
	return nil
}

func (n *Neighbor) option() byte {
	if n.Type == Solicitation {
		return optionSource
	}
	return optionTarget
}

// check tells whether the addresses go together. A group address as link-layer address would
// make hosts send to a group what is meant for one.
func (n *Neighbor) check() error {
	multicast := n.Destination.IsMulticast()
	switch {
	case n.Target.IsMulticast(), n.Target.IsUnspecified(), n.Target.Is4In6(),
		n.Source.IsMulticast(), n.Destination.IsUnspecified(), n.LinkLayer[0]&1 != 0:
		return ErrNeighborAddress
	case n.Type == Advertisement && (multicast && n.Solicited || n.Source.IsUnspecified()):
		return ErrNeighborAddress
	case n.Type == Solicitation && n.Source.IsUnspecified() && (n.Destination != solicitedNode(n.Target) || n.LinkLayer != MAC{}):
		return ErrNeighborAddress
	}
	return nil
}

// Append appends the packet to b: 64 bytes, 72 with a link-layer address. All addresses must be
// IPv6.
func (n Neighbor) Append(b []byte) []byte {
	start, length := len(b), lengthND
	if n.LinkLayer != (MAC{}) {
		length += lengthOption
	}
	b = append(b, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, protocolICMP, hopLimit)
	source, destination, target := n.Source.As16(), n.Destination.As16(), n.Target.As16()
	b = append(append(b, source[:]...), destination[:]...)
	b = append(b, byte(n.Type), 0, 0, 0, n.flags(), 0, 0, 0)
	b = append(b, target[:]...)
	if n.LinkLayer != (MAC{}) {
		b = append(append(b, n.option(), 1), n.LinkLayer[:]...)
	}
	packet := b[start:]
	binary.BigEndian.PutUint16(packet[lengthIPv6+2:], checksum(packet[8:40], packet[lengthIPv6:]))
	return b
}

func (n Neighbor) flags() byte {
	var flags byte
	if n.Router {
		flags |= flagRouter
	}
	if n.Solicited {
		flags |= flagSolicited
	}
	if n.Override {
		flags |= flagOverride
	}
	return flags
}

// checksum is that of ICMPv6 (RFC 4443 section 2.3) over both addresses and the message; over a
// message with its right checksum it is 0. The message has at least one byte and fewer than
// 65,536.
func checksum(addresses, body []byte) uint16 {
	sum := uint32(len(body)) + protocolICMP
	for _, part := range [2][]byte{addresses, body} {
		for ; len(part) > 1; part = part[2:] {
			sum += uint32(part[0])<<8 | uint32(part[1])
		}
		if len(part) == 1 {
			sum += uint32(part[0]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// allNodes is ff02::1, every host of a link (RFC 4291 section 2.7.1).
func allNodes() netip.Addr { return netip.AddrFrom16([16]byte{0xff, 2, 15: 1}) }

// solicitedNode is the group that the holder of an address listens to (RFC 4291 section 2.7.1).
func solicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0xff, 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// groupMAC is the Ethernet address of an IPv6 group (RFC 2464 section 7).
func groupMAC(group netip.Addr) MAC {
	b := group.As16()
	return MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// neighborAnnouncement tells every host of the link that an address has a MAC address now (RFC
// 4861 section 7.2.6). The router flag has to be what the host is: a host that takes the sender
// for its router drops that route when the flag is missing.
func neighborAnnouncement(mac MAC, address netip.Addr, router bool) Neighbor {
	return Neighbor{
		Type: Advertisement, Source: address, Destination: allNodes(), Target: address,
		LinkLayer: mac, Router: router, Override: true,
	}
}

// neighborProbe asks for an address as duplicate address detection does (RFC 4862 section 5.4.2).
func neighborProbe(address netip.Addr) Neighbor {
	return Neighbor{
		Type: Solicitation, Source: netip.IPv6Unspecified(),
		Destination: solicitedNode(address), Target: address,
	}
}

// neighborQuestion asks for an address so that the answer comes to the asker alone.
func neighborQuestion(mac MAC, from, address netip.Addr) Neighbor {
	return Neighbor{
		Type: Solicitation, Source: from, LinkLayer: mac,
		Destination: solicitedNode(address), Target: address,
	}
}
