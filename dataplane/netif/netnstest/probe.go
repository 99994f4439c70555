package netnstest

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// TCP flags (RFC 9293 section 3.1).
const (
	FIN = 0x01
	SYN = 0x02
	RST = 0x04
	PSH = 0x08
	ACK = 0x10
	URG = 0x20
)

// Scans are the TCP packets that port scanners send, by their flags.
func Scans() map[string]byte {
	return map[string]byte{
		"SYN": SYN, "ACK": ACK, "FIN": FIN, "FIN ACK": FIN | ACK, "SYN ACK": SYN | ACK, "PSH ACK": PSH | ACK,
		"none": 0, "FIN PSH URG": FIN | PSH | URG, "SYN FIN": SYN | FIN,
	}
}

// Scanner sends TCP packets of its own making from another host.
type Scanner struct {
	// Do runs a function in the other host, see Far.Do; Interface is the name of its interface.
	Do        func(func())
	Interface string
	// Own4 and Own6 are its addresses, MAC is where frames go.
	Own4, Own6 string
	MAC        net.HardwareAddr
}

// sourcePort is where all questions come from, patience how long an answer is waited for that has
// to come.
const (
	sourcePort = 41000
	patience   = 20 * time.Second
)

// Ask sends a packet with these flags to each port of an address and returns the flags of what came
// back, by port. eyes is an address of the same family with a port at which nobody listens and nothing
// guards: it is asked last and answers, so that what was to come has come.
func (s Scanner) Ask(t testing.TB, address netip.Addr, ports []uint16, flags byte, eyes netip.AddrPort) map[uint16]byte {
	t.Helper()
	conn, own := s.open(t, address)
	defer conn.Close()
	send := func(to netip.AddrPort, flags byte) {
		if _, err := conn.WriteTo(tcpPacket(netip.AddrPortFrom(own, sourcePort), to, flags), &packet.Addr{HardwareAddr: s.MAC}); err != nil {
			t.Fatal(err)
		}
	}
	for _, port := range ports {
		send(netip.AddrPortFrom(address, port), flags)
	}
	send(eyes, ACK)
	got, b := map[uint16]byte{}, make([]byte, 256)
	for _ = conn.SetReadDeadline(time.Now().Add(patience)); ; {
		size, _, err := conn.ReadFrom(b)
		if err != nil {
			t.Fatalf("nothing from %s, which answers: %v", eyes, err)
		}
		source, tcp := tcpOf(b[:size])
		switch {
		case tcp == nil || binary.BigEndian.Uint16(tcp[2:]) != sourcePort:
		case source == eyes.Addr() && binary.BigEndian.Uint16(tcp) == eyes.Port():
			return got
		case source == address:
			got[binary.BigEndian.Uint16(tcp)] = tcp[13]
		}
	}
}

func (s Scanner) open(t testing.TB, to netip.Addr) (conn *packet.Conn, own netip.Addr) {
	t.Helper()
	own, kind := netip.MustParseAddr(s.Own4), unix.ETH_P_IP
	if to.Is6() {
		own, kind = netip.MustParseAddr(s.Own6), unix.ETH_P_IPV6
	}
	var err error
	s.Do(func() {
		var nic *net.Interface
		if nic, err = net.InterfaceByName(s.Interface); err == nil {
			conn, err = packet.Listen(nic, packet.Datagram, kind, nil)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return conn, own
}

// tcpPacket builds an IP packet with a TCP header whose checksums are right.
func tcpPacket(from, to netip.AddrPort, flags byte) []byte {
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp[0:], from.Port())
	binary.BigEndian.PutUint16(tcp[2:], to.Port())
	binary.BigEndian.PutUint32(tcp[4:], 1000)
	binary.BigEndian.PutUint32(tcp[8:], 2000)
	tcp[12], tcp[13], tcp[14] = 5<<4, flags, 4
	source, target := from.Addr().AsSlice(), to.Addr().AsSlice()
	binary.BigEndian.PutUint16(tcp[16:], checksum(slices.Concat(source, target, []byte{0, 6, 0, 20}, tcp)))
	if to.Addr().Is6() {
		return slices.Concat([]byte{0x60, 0, 0, 0, 0, 20, 6, 64}, source, target, tcp)
	}
	ip := slices.Concat([]byte{0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0}, source, target)
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	return append(ip, tcp...)
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// tcpOf is the source of an IP packet and its TCP header; nil: it has none.
func tcpOf(b []byte) (netip.Addr, []byte) {
	switch {
	case len(b) >= 40 && b[0] == 0x45 && b[9] == 6:
		return netip.AddrFrom4([4]byte(b[12:16])), b[20:]
	case len(b) >= 60 && b[0]>>4 == 6 && b[6] == 6:
		return netip.AddrFrom16([16]byte(b[8:24])), b[40:]
	}
	return netip.Addr{}, nil
}
