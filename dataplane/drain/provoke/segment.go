package provoke

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	lengthIPv4, lengthIPv6, lengthTCP = 20, 40, 20
	flagACK                           = 0x10
	hops                              = 64
)

// packet is an IP packet with an empty TCP segment of flag ACK. For IPv4 the kernel fills in length,
// identification and checksum of the header (raw(7)).
func packet(from, to netip.AddrPort, seq, ack uint32) []byte {
	source, destination := from.Addr().AsSlice(), to.Addr().AsSlice()
	tcp := make([]byte, lengthTCP)
	binary.BigEndian.PutUint16(tcp, from.Port())
	binary.BigEndian.PutUint16(tcp[2:], to.Port())
	binary.BigEndian.PutUint32(tcp[4:], seq)
	binary.BigEndian.PutUint32(tcp[8:], ack)
	tcp[12], tcp[13] = lengthTCP/4<<4, flagACK
	binary.BigEndian.PutUint16(tcp[16:], checksum(source, destination, tcp))
	return append(header(source, destination), tcp...)
}

// header is that of RFC 791 section 3.1 or RFC 8200 section 3.
func header(source, destination []byte) []byte {
	if len(source) == 4 {
		h := make([]byte, lengthIPv4, lengthIPv4+lengthTCP)
		h[0], h[8], h[9] = 4<<4|lengthIPv4/4, hops, unix.IPPROTO_TCP
		binary.BigEndian.PutUint16(h[2:], lengthIPv4+lengthTCP)
		copy(h[12:], source)
		copy(h[16:], destination)
		return h
	}
	h := make([]byte, lengthIPv6, lengthIPv6+lengthTCP)
	h[0], h[6], h[7] = 6<<4, unix.IPPROTO_TCP, hops
	binary.BigEndian.PutUint16(h[4:], lengthTCP)
	copy(h[8:], source)
	copy(h[24:], destination)
	return h
}

// checksum is that of TCP over the pseudo header (RFC 9293 section 3.1, RFC 8200 section 8.1), whose
// words have the same sum in both families.
func checksum(source, destination, tcp []byte) uint16 {
	sum := uint32(unix.IPPROTO_TCP) + uint32(len(tcp))
	for _, part := range [][]byte{source, destination, tcp} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
