package outside

import (
	"encoding/binary"
	"net/netip"
)

// Bits of the TCP header's flags (RFC 9293 section 3.1).
const (
	flagSYN = 1 << 1
	flagRST = 1 << 2
	flagACK = 1 << 4
)

const (
	protocolTCP = 6
	lengthTCP   = 20
	length4     = 20 // of an IPv4 header without options
	length6     = 40
)

// syn returns an IP packet that begins a TCP connection, with a hop limit of 1.
func syn(from, to netip.AddrPort, sequence uint32) []byte {
	tcp := make([]byte, lengthTCP)
	binary.BigEndian.PutUint16(tcp, from.Port())
	binary.BigEndian.PutUint16(tcp[2:], to.Port())
	binary.BigEndian.PutUint32(tcp[4:], sequence)
	tcp[12], tcp[13] = lengthTCP/4<<4, flagSYN
	binary.BigEndian.PutUint16(tcp[14:], 1024)
	binary.BigEndian.PutUint16(tcp[16:], ^sum(tcp, sum(from.Addr().AsSlice(), sum(to.Addr().AsSlice(), protocolTCP+lengthTCP))))
	if from.Addr().Is4() {
		return append(header4(from.Addr(), to.Addr()), tcp...)
	}
	return append(header6(from.Addr(), to.Addr()), tcp...)
}

// header4 is RFC 791 section 3.1; the packet may not be fragmented.
func header4(from, to netip.Addr) []byte {
	b := make([]byte, length4, length4+lengthTCP)
	b[0] = 4<<4 | length4/4
	binary.BigEndian.PutUint16(b[2:], length4+lengthTCP)
	b[6], b[8], b[9] = 0x40, 1, protocolTCP
	copy(b[12:], from.AsSlice())
	copy(b[16:], to.AsSlice())
	binary.BigEndian.PutUint16(b[10:], ^sum(b, 0))
	return b
}

// header6 is RFC 8200 section 3.
func header6(from, to netip.Addr) []byte {
	b := make([]byte, length6, length6+lengthTCP)
	b[0] = 6 << 4
	binary.BigEndian.PutUint16(b[4:], lengthTCP)
	b[6], b[7] = protocolTCP, 1
	copy(b[8:], from.AsSlice())
	copy(b[24:], to.AsSlice())
	return b
}

// sum adds sixteen-bit words in ones' complement (RFC 1071); b has an even length.
func sum(b []byte, start uint16) uint16 {
	total := uint32(start)
	for i := 0; i+1 < len(b); i += 2 {
		total += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}

// parse reads an answer to syn: from whom to whom, what it says, and the sequence number that it
// acknowledges. ok is false for everything else.
func parse(b []byte) (from, to netip.AddrPort, answer Answer, acknowledged uint32, ok bool) {
	source, destination, tcp := network(b)
	if len(tcp) < lengthTCP || tcp[13]&flagACK == 0 {
		return from, to, Silent, 0, false
	}
	switch flags := tcp[13]; {
	case flags&flagRST != 0:
		answer = Closed
	case flags&flagSYN != 0:
		answer = Open
	default:
		return from, to, Silent, 0, false
	}
	from = netip.AddrPortFrom(source, binary.BigEndian.Uint16(tcp))
	to = netip.AddrPortFrom(destination, binary.BigEndian.Uint16(tcp[2:]))
	return from, to, answer, binary.BigEndian.Uint32(tcp[8:]), true
}

// network reads the IP header of an unfragmented TCP packet; tcp is nil for others.
func network(b []byte) (source, destination netip.Addr, tcp []byte) {
	switch {
	case len(b) >= length4 && b[0]>>4 == 4 && b[9] == protocolTCP && binary.BigEndian.Uint16(b[6:])&0x3fff == 0:
		length := int(b[0]&0xf) * 4
		if length < length4 || length > len(b) {
			return source, destination, nil
		}
		return netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), b[length:]
	case len(b) >= length6 && b[0]>>4 == 6 && b[6] == protocolTCP:
		return netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), b[length6:]
	}
	return source, destination, nil
}
