package nft_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// sendPacket sends one packet out of from to the interface at the other end of its cable; when
// it returns the kernel has taken it in (veth delivers before send returns, or soon after).
func sendPacket(t *testing.T, from, to string, address netip.Addr, protocol byte, port uint16) {
	t.Helper()
	bytes := segment6(address, protocol, port)
	if address.Is4() {
		bytes = segment(address, protocol, port)
	}
	sendBytes(t, from, to, bytes)
}

// sendBytes sends an IP packet as sendPacket does.
func sendBytes(t *testing.T, from, to string, bytes []byte) {
	t.Helper()
	source, err := net.InterfaceByName(from)
	if err != nil {
		t.Fatal(err)
	}
	target, err := net.InterfaceByName(to)
	if err != nil {
		t.Fatal(err)
	}
	kind := unix.ETH_P_IPV6
	if bytes[0]>>4 == 4 {
		kind = unix.ETH_P_IP
	}
	conn, err := packet.Listen(source, packet.Datagram, kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.WriteTo(bytes, &packet.Addr{HardwareAddr: target.HardwareAddr}); err != nil {
		t.Fatal(err)
	}
}

// segment builds an IPv4 header (RFC 791) and the ports of a transport header, padded.
func segment(to netip.Addr, protocol byte, port uint16) []byte {
	b := make([]byte, 40)
	b[0], b[8], b[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	copy(b[12:], []byte{192, 0, 2, 50})
	copy(b[16:], to.AsSlice())
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum))
	binary.BigEndian.PutUint16(b[20:], 40000)
	binary.BigEndian.PutUint16(b[22:], port)
	return b
}

// segment6 builds an IPv6 header (RFC 8200 section 3) and the same behind it.
func segment6(to netip.Addr, protocol byte, port uint16) []byte {
	b := make([]byte, 60)
	b[0], b[6], b[7] = 0x60, protocol, 64
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
	copy(b[8:], netip.MustParseAddr("2001:db8::50").AsSlice())
	copy(b[24:], to.AsSlice())
	binary.BigEndian.PutUint16(b[40:], 40000)
	binary.BigEndian.PutUint16(b[42:], port)
	return b
}
