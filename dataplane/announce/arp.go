package announce

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// PacketLength is the length of an ARP packet for IPv4 over Ethernet (RFC 826), in bytes.
const PacketLength = 28

// maxPayload is the longest payload of an Ethernet frame that Parse looks at, in bytes. Frames
// are padded to 46; nothing asks for more.
const maxPayload = 1500

// Operation is what an ARP packet does.
type Operation uint16

// Operations (RFC 826).
const (
	Request Operation = 1
	Reply   Operation = 2
)

// MAC is an Ethernet address.
type MAC [6]byte

// everybody is the Ethernet address of every host of a link.
func everybody() MAC { return MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// Packet is an ARP packet for IPv4 over Ethernet.
type Packet struct {
	Operation Operation
	SenderMAC MAC
	SenderIP  netip.Addr
	TargetMAC MAC
	TargetIP  netip.Addr
}

// Errors of Parse; each says what about the packet is not as RFC 826 has it.
var (
	ErrLength    = errors.New("ARP packet is shorter than 28 bytes or longer than a frame")
	ErrHardware  = errors.New("ARP packet is not for Ethernet")
	ErrProtocol  = errors.New("ARP packet is not for IPv4")
	ErrOperation = errors.New("ARP packet is neither request nor reply")
	ErrSender    = errors.New("ARP packet comes from a group address or from no address")
)

// The fixed first bytes: hardware type Ethernet, protocol type IPv4, lengths 6 and 4.
const (
	hardwareEthernet = 1
	protocolIPv4     = 0x0800
	lengthsEthernet4 = 0x0604
)

// Parse reads an ARP packet. Bytes after the first 28 are padding and ignored.
func Parse(b []byte) (Packet, error) {
	if len(b) < PacketLength || len(b) > maxPayload {
		return Packet{}, fmt.Errorf("%w: %d", ErrLength, len(b))
	}
	p := Packet{
		Operation: Operation(binary.BigEndian.Uint16(b[6:])),
		SenderMAC: MAC(b[8:14]),
		SenderIP:  netip.AddrFrom4([4]byte(b[14:18])),
		TargetMAC: MAC(b[18:24]),
		TargetIP:  netip.AddrFrom4([4]byte(b[24:28])),
	}
	switch {
	case binary.BigEndian.Uint16(b) != hardwareEthernet:
		return Packet{}, ErrHardware
	case binary.BigEndian.Uint16(b[2:]) != protocolIPv4:
		return Packet{}, ErrProtocol
	case binary.BigEndian.Uint16(b[4:]) != lengthsEthernet4:
		return Packet{}, ErrHardware
	case p.Operation != Request && p.Operation != Reply:
		return Packet{}, ErrOperation
	case p.SenderMAC == MAC{} || p.SenderMAC[0]&1 != 0:
		return Packet{}, ErrSender
	}
	return p, nil
}

// Append appends the packet's 28 bytes to b. Both addresses must be IPv4.
func (p Packet) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, hardwareEthernet)
	b = binary.BigEndian.AppendUint16(b, protocolIPv4)
	b = binary.BigEndian.AppendUint16(b, lengthsEthernet4)
	b = binary.BigEndian.AppendUint16(b, uint16(p.Operation))
	b = append(b, p.SenderMAC[:]...)
	sender, target := p.SenderIP.As4(), p.TargetIP.As4()
	b = append(b, sender[:]...)
	b = append(b, p.TargetMAC[:]...)
	return append(b, target[:]...)
}

// announcements returns the packets that announce an address: RFC 5227 section 2.3 and the same
// as a reply.
func announcements(mac MAC, address netip.Addr) [2]Packet {
	request := Packet{Operation: Request, SenderMAC: mac, SenderIP: address, TargetIP: address}
	reply := Packet{Operation: Reply, SenderMAC: mac, SenderIP: address, TargetMAC: mac, TargetIP: address}
	return [2]Packet{request, reply}
}

// probe returns the packet that asks for an address without claiming it (RFC 5227 section 2.1.1).
func probe(mac MAC, address netip.Addr) Packet {
	return Packet{Operation: Request, SenderMAC: mac, SenderIP: netip.IPv4Unspecified(), TargetIP: address}
}

// claims tells whether a packet shows that its sender has the address or, at this moment, wants
// it too (RFC 5227 section 2.1.1, the two conflicts).
func (p Packet) claims(address netip.Addr) bool {
	wants := p.Operation == Request && p.SenderIP == netip.IPv4Unspecified() && p.TargetIP == address
	return p.SenderIP == address || wants
}
