package pcap

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// EtherTypes and IP protocols that Decode knows.
const (
	EtherIPv4 = 0x0800
	EtherARP  = 0x0806
	EtherVLAN = 0x8100
	EtherIPv6 = 0x86dd

	ProtocolICMP = 1
	ProtocolIPIP = 4
	ProtocolTCP  = 6
	ProtocolUDP  = 17
	ProtocolVRRP = 112
)

// ARP operations.
const (
	ARPRequest = 1
	ARPReply   = 2
)

// Frame is one frame. Fields that the frame does not have, or that are cut, are zero.
type Frame struct {
	Time                        time.Time
	SourceMAC, DestinationMAC   net.HardwareAddr
	EtherType                   uint16
	Source, Destination         netip.Addr // network addresses; of ARP the sender and target
	Protocol                    uint8      // of IPv4 or IPv6, without extension headers
	SourcePort, DestinationPort uint16
	TCPFlags                    uint8
	ARPOperation                uint16
	ARPSourceMAC                net.HardwareAddr
	// Payload is what follows the TCP or UDP header, or the IP header for others.
	Payload []byte
	Data    []byte // the whole frame
}

// Decode decodes an Ethernet frame. It keeps data.
func Decode(data []byte) Frame {
	f := Frame{Data: data}
	if len(data) < 14 {
		return f
	}
	f.DestinationMAC, f.SourceMAC = net.HardwareAddr(data[:6]), net.HardwareAddr(data[6:12])
	f.EtherType = binary.BigEndian.Uint16(data[12:])
	payload := data[14:]
	if f.EtherType == EtherVLAN && len(payload) >= 4 {
		f.EtherType = binary.BigEndian.Uint16(payload[2:])
		payload = payload[4:]
	}
	switch f.EtherType {
	case EtherARP:
		f.decodeARP(payload)
	case EtherIPv4:
		f.decodeIPv4(payload)
	case EtherIPv6:
		f.decodeIPv6(payload)
	}
	return f
}

// decodeARP reads the 28 bytes of Ethernet and IPv4 (RFC 826).
func (f *Frame) decodeARP(p []byte) {
	if len(p) < 28 || binary.BigEndian.Uint16(p[2:]) != EtherIPv4 {
		return
	}
	f.ARPOperation = binary.BigEndian.Uint16(p[6:])
	f.ARPSourceMAC = net.HardwareAddr(p[8:14])
	f.Source = netip.AddrFrom4([4]byte(p[14:18]))
	f.Destination = netip.AddrFrom4([4]byte(p[24:28]))
}

func (f *Frame) decodeIPv4(p []byte) {
	if len(p) < 20 {
		return
	}
	header := int(p[0]&0x0f) * 4
	total := int(binary.BigEndian.Uint16(p[2:]))
	if header < 20 || len(p) < header {
		return
	}
	f.Protocol = p[9]
	f.Source, f.Destination = netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20]))
	if total >= header && total <= len(p) {
		p = p[:total] // the rest is padding
	}
	if binary.BigEndian.Uint16(p[6:])&0x1fff == 0 { // first fragment
		f.decodeTransport(p[header:])
	}
}

func (f *Frame) decodeIPv6(p []byte) {
	if len(p) < 40 {
		return
	}
	f.Protocol = p[6]
	f.Source, f.Destination = netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40]))
	if length := 40 + int(binary.BigEndian.Uint16(p[4:])); length > 40 && length <= len(p) {
		p = p[:length]
	}
	f.decodeTransport(p[40:])
}

func (f *Frame) decodeTransport(p []byte) {
	f.Payload = p
	switch {
	case f.Protocol == ProtocolUDP && len(p) >= 8:
		f.Payload = p[8:]
	case f.Protocol == ProtocolTCP && len(p) >= 20:
		f.TCPFlags = p[13]
		if header := int(p[12]>>4) * 4; header >= 20 && header <= len(p) {
			f.Payload = p[header:]
		}
	default:
		return
	}
	f.SourcePort, f.DestinationPort = binary.BigEndian.Uint16(p), binary.BigEndian.Uint16(p[2:])
}

// String is one line for a test's message.
func (f Frame) String() string {
	link := fmt.Sprintf("%s > %s", f.SourceMAC, f.DestinationMAC)
	switch {
	case f.EtherType == EtherARP:
		return fmt.Sprintf("%s ARP operation %d %s (%s) > %s", link, f.ARPOperation, f.Source, f.ARPSourceMAC, f.Destination)
	case f.Source.IsValid():
		return fmt.Sprintf("%s protocol %d %s:%d > %s:%d, %d bytes", link, f.Protocol, f.Source, f.SourcePort, f.Destination, f.DestinationPort, len(f.Payload))
	}
	return fmt.Sprintf("%s type %#04x, %d bytes", link, f.EtherType, len(f.Data))
}
