package preflight

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Sizes of headers in bytes: IPv4 without options (RFC 791), ICMP echo (RFC 792).
const (
	ipHeader   = 20
	icmpHeader = 8
)

// Types of echo messages (RFC 792, RFC 4443 section 4).
const (
	icmpEcho       = 8
	icmpEchoReply  = 0
	icmp6Echo      = 128
	icmp6EchoReply = 129
)

// echoTimeout is how long a server of the same segment may take to answer.
const echoTimeout = 500 * time.Millisecond

// Packets that every host must take (RFC 791, RFC 8200 section 5). Who does not answer one answers none:
// it is behind a firewall.
const (
	leastSize  = 576
	leastSize6 = 1280
)

func leastOf(server netip.Addr) int {
	if server.Is6() {
		return leastSize6
	}
	return leastSize
}

// smallerSizes are tried in turn: jumbo, Ethernet, common tunnels, and the least.
func smallerSizes(largest, least int) []int {
	var sizes []int
	for _, size := range []int{8000, 1500, 1450, 1400, 1280, leastSize} {
		if size < largest && size >= least {
			sizes = append(sizes, size)
		}
	}
	return sizes
}

// largestAnswered is the largest packet that a server of the same segment answers without
// fragments, in bytes with its headers; 0: it answers none. One lost packet does not count.
func largestAnswered(ctx context.Context, largest, least int, ask func(context.Context, int) (bool, error)) (int, error) {
	for _, size := range []int{largest, least, largest} {
		answered, err := ask(ctx, size)
		switch {
		case err != nil || !answered && size == least:
			return 0, err
		case answered && size == largest:
			return largest, nil
		}
	}
	for _, size := range smallerSizes(largest, least) {
		if answered, err := ask(ctx, size); err != nil || answered {
			return size, err
		}
	}
	return 0, nil
}

// echo sends one ICMP echo request that nobody may fragment and waits for the answer.
func echo(ctx context.Context, server netip.Addr, size int) (bool, error) {
	socket, err := echoSocket(server)
	if err != nil {
		return false, err
	}
	defer func() { _ = socket.Close() }()
	id, sequence := uint16(os.Getpid()), uint16(size)
	request := echoRequest(id, sequence, size-ipHeader)
	if server.Is6() {
		request = echoRequest6(id, sequence, size-ip6Header)
	}
	if _, err := socket.Write(request); err != nil {
		// Too large for this host, or lost on the way out.
		if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) {
			return false, nil
		}
		return false, fmt.Errorf("ask %s for an echo: %w", server, err)
	}
	return awaitEcho(ctx, socket, request)
}

// echoSocket is a socket for ICMP to and from a server, whose packets nobody fragments.
func echoSocket(server netip.Addr) (*os.File, error) {
	family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	// PROBE: set "do not fragment" and ignore what was learnt about the path before (ip(7), ipv6(7)).
	level, option, probe := unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE
	var to unix.Sockaddr
	if server.Is6() {
		family, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
		level, option, probe = unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE
		to = &unix.SockaddrInet6{Addr: server.As16()}
	} else {
		to = &unix.SockaddrInet4{Addr: server.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, fmt.Errorf("open a socket for ICMP: %w", err)
	}
	err = unix.SetsockoptInt(fd, level, option, probe)
	if err == nil && server.Is6() {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1)
	}
	if err == nil {
		err = unix.Connect(fd, to)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("reach %s: %w", server, err)
	}
	return os.NewFile(uintptr(fd), "icmp"), nil
}

// echoRequest is an ICMP echo request of a length in bytes.
func echoRequest(id, sequence uint16, length int) []byte {
	b := make([]byte, max(length, icmpHeader))
	b[0] = icmpEcho
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], sequence)
	binary.BigEndian.PutUint16(b[2:], ^onesSum(b))
	return b
}

// echoRequest6 is one of ICMPv6; its checksum is the kernel's (RFC 3542 section 3.1).
func echoRequest6(id, sequence uint16, length int) []byte {
	b := echoRequest(id, sequence, length)
	b[0], b[2], b[3] = icmp6Echo, 0, 0
	return b
}

// onesSum is the ones' complement sum of RFC 1071.
func onesSum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// awaitEcho waits for the answer to a request; packets to others that the raw socket sees are
// passed over.
func awaitEcho(ctx context.Context, socket *os.File, request []byte) (bool, error) {
	deadline := time.Now().Add(echoTimeout)
	if end, has := ctx.Deadline(); has && end.Before(deadline) {
		deadline = end
	}
	if err := socket.SetReadDeadline(deadline); err != nil {
		return false, err
	}
	buffer := make([]byte, 1<<16)
	for {
		n, err := socket.Read(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("wait for an echo: %w", err)
		}
		if answers(buffer[:n], request) {
			return true, nil
		}
	}
}

// answers tells whether what a raw socket received is the answer to an echo request: with IPv4 a
// packet, with IPv6 its content (RFC 3542 section 3).
func answers(packet, request []byte) bool {
	reply, icmp := byte(icmp6EchoReply), packet
	if request[0] == icmpEcho {
		if len(packet) < ipHeader {
			return false
		}
		header := int(packet[0]&0xf) * 4
		if header < ipHeader || len(packet) < header {
			return false
		}
		reply, icmp = icmpEchoReply, packet[header:]
	}
	return len(icmp) >= icmpHeader && icmp[0] == reply && len(icmp) == len(request) && string(icmp[4:8]) == string(request[4:8])
}
