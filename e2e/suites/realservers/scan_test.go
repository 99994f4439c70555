package realservers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/e2e/lab"
)

// target is an address at a host: frames go to the host's MAC address, whoever else has the address.
type target struct {
	mac     net.HardwareAddr
	address netip.Addr
}

// said is what an address said at a port: 'o' a connection or a datagram, 'c' that it is closed.
type said map[uint16]byte

// An emulated machine takes no more than burst packets every gap.
const (
	burst = 64
	gap   = 4 * time.Millisecond
)

// question is a kind of packet: datagrams, or TCP packets with flags (RFC 9293 section 3.1).
type question struct{ protocol, flags byte }

var (
	firstPacket = question{unix.IPPROTO_TCP, 0x02}
	datagram    = question{protocol: unix.IPPROTO_UDP}
)

// stealthy are the TCP packets of scanners that do not open connections (nmap -sA and -sF).
func stealthy() map[string]question {
	return map[string]question{"ACK": {unix.IPPROTO_TCP, 0x10}, "FIN": {unix.IPPROTO_TCP, 0x01}}
}

// scanner asks ports of a target with packets of its own making, past the client's kernel.
type scanner struct {
	fd, index int
	own       netip.Addr
	to        target
	question
	got said
}

// rounds is how often a port is asked at most.
const rounds = 12

// scan asks ports of a target from the client in rounds, those that have not answered, until enough
// says so.
func scan(client *lab.Namespace, to target, what question, ports []uint16, enough func(round int, got said) (bool, error)) (said, error) {
	s := &scanner{own: parsed(client4), to: to, question: what, got: said{}}
	if to.address.Is6() {
		s.own = parsed(client6)
	}
	if err := client.Enter(s.open); err != nil {
		return nil, err
	}
	defer unix.Close(s.fd)
	for round := 1; round <= rounds; round++ {
		err := s.round(ports)
		done := false
		if err == nil {
			done, err = enough(round, s.got)
		}
		if err != nil {
			return nil, fmt.Errorf("scan of %s at %s: %w", to.address, to.mac, err)
		}
		if done {
			break
		}
	}
	return s.got, nil
}

// twice asks two times.
func twice(round int, _ said) (bool, error) { return round == 2, nil }

func (s *scanner) ethertype() uint16 {
	if s.own.Is6() {
		return unix.ETH_P_IPV6
	}
	return unix.ETH_P_IP
}

func swapped(n uint16) uint16 { return n<<8 | n>>8 }

func (s *scanner) open() error {
	link, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	s.index = link.Index
	s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(swapped(s.ethertype())))
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20); err != nil {
		return err
	}
	return unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: swapped(s.ethertype()), Ifindex: s.index})
}

func (s *scanner) round(ports []uint16) error {
	to := &unix.SockaddrLinklayer{Protocol: swapped(s.ethertype()), Ifindex: s.index, Halen: 6}
	copy(to.Addr[:], s.to.mac)
	sent := 0
	for _, port := range ports {
		if s.got[port] != 0 {
			continue
		}
		if err := unix.Sendto(s.fd, s.packet(port), 0, to); err != nil {
			return err
		}
		if sent++; sent%burst == 0 {
			if err := s.read(gap); err != nil {
				return err
			}
		}
	}
	return s.read(time.Second)
}

// read takes answers until the time is over.
func (s *scanner) read(wait time.Duration) error {
	b := make([]byte, 4096)
	for end := time.Now().Add(wait); ; {
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}, max(1, int(left.Milliseconds()))); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		for {
			n, _, err := unix.Recvfrom(s.fd, b, 0)
			if err != nil {
				break
			}
			s.learn(b[:n])
		}
	}
}

// localPort is where all questions come from.
const localPort = 40000

// sequence is the sequence number of all TCP questions.
const sequence = 1

// packet is one of TCP, or a datagram with one byte (RFC 9293, RFC 768).
func (s *scanner) packet(port uint16) []byte {
	segment := make([]byte, 20)
	binary.BigEndian.PutUint32(segment[4:], sequence)
	segment[12], segment[13], segment[14] = 5<<4, s.flags, 4
	checksum := segment[16:18]
	if s.protocol == unix.IPPROTO_UDP {
		segment = append(make([]byte, 8), '?', 0)[:9]
		binary.BigEndian.PutUint16(segment[4:], 9)
		checksum = segment[6:8]
	}
	binary.BigEndian.PutUint16(segment, localPort)
	binary.BigEndian.PutUint16(segment[2:], port)
	total := sum(s.own.AsSlice()) + sum(s.to.address.AsSlice()) + uint32(s.protocol) + uint32(len(segment)) + sum(segment)
	binary.BigEndian.PutUint16(checksum, fold(total))
	return append(s.header(len(segment)), segment...)
}

func (s *scanner) header(length int) []byte {
	if s.own.Is6() {
		b := make([]byte, 40)
		b[0], b[6], b[7] = 6<<4, s.protocol, 64
		binary.BigEndian.PutUint16(b[4:], uint16(length))
		copy(b[8:], s.own.AsSlice())
		copy(b[24:], s.to.address.AsSlice())
		return b
	}
	b := make([]byte, 20)
	b[0], b[8], b[9] = 4<<4|5, 64, s.protocol
	binary.BigEndian.PutUint16(b[2:], uint16(20+length))
	copy(b[12:], s.own.AsSlice())
	copy(b[16:], s.to.address.AsSlice())
	binary.BigEndian.PutUint16(b[10:], fold(sum(b)))
	return b
}

func sum(b []byte) (total uint32) {
	for i, c := range b {
		total += uint32(c) << (8 * (1 - i%2))
	}
	return total
}

func fold(total uint32) uint16 {
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return ^uint16(total)
}

// learn reads a packet from the target's address: TCP, UDP, or that a port is unreachable.
func (s *scanner) learn(b []byte) {
	source, protocol, segment := parts(b)
	if source != s.to.address || len(segment) < 8 {
		return
	}
	port := binary.BigEndian.Uint16(segment)
	switch {
	case protocol == unix.IPPROTO_TCP && s.protocol == protocol && len(segment) >= 20 && binary.BigEndian.Uint16(segment[2:]) == localPort:
		s.got[port] = 'o'
		if segment[13]&4 != 0 {
			s.got[port] = 'c'
		}
	case protocol == unix.IPPROTO_UDP && s.protocol == protocol && binary.BigEndian.Uint16(segment[2:]) == localPort:
		s.got[port] = 'o'
	case protocol == unix.IPPROTO_ICMP && segment[0] == 3, protocol == unix.IPPROTO_ICMPV6 && segment[0] == 1:
		if _, inner, question := parts(segment[8:]); inner == s.protocol && len(question) >= 8 && s.isMine(question) {
			s.got[binary.BigEndian.Uint16(question[2:])] = 'c'
		}
	}
}

// isMine says whether a packet that was refused was a question. The client's kernel knows nothing of the scan and resets what
// answers it; a refusal of such a reset says nothing of the port.
func (s *scanner) isMine(segment []byte) bool {
	return s.protocol != unix.IPPROTO_TCP || binary.BigEndian.Uint32(segment[4:]) == sequence
}

// parts splits an IP packet without options or extension headers.
func parts(b []byte) (source netip.Addr, protocol byte, segment []byte) {
	switch {
	case len(b) >= 20 && b[0] == 4<<4|5:
		return netip.AddrFrom4([4]byte(b[12:16])), b[9], b[20:]
	case len(b) >= 40 && b[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(b[8:24])), b[6], b[40:]
	}
	return source, 0, nil
}
