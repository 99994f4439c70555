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

// icmpEcho is the type of an ICMP echo request (RFC 792).
const icmpEcho = 8

// echoTimeout is how long a server of the same segment may take to answer.
const echoTimeout = 500 * time.Millisecond

// leastSize is the packet that every host must take (RFC 791). Who does not answer it answers none:
// it is behind a firewall.
const leastSize = 576

// smallerSizes are tried in turn: jumbo, Ethernet, common tunnels, and the least.
func smallerSizes(largest int) []int {
	var sizes []int
	for _, size := range []int{8000, 1500, 1450, 1400, 1280, leastSize} {
		if size < largest {
			sizes = append(sizes, size)
		}
	}
	return sizes
}

// largestAnswered is the largest packet that a server of the same segment answers without
// fragments, in bytes with its headers; 0: it answers none. One lost packet does not count.
func largestAnswered(ctx context.Context, largest int, ask func(context.Context, int) (bool, error)) (int, error) {
	for _, size := range []int{largest, leastSize, largest} {
		answered, err := ask(ctx, size)
		switch {
		case err != nil || !answered && size == leastSize:
			return 0, err
		case answered && size == largest:
			return largest, nil
		}
	}
	for _, size := range smallerSizes(largest) {
		if answered, err := ask(ctx, size); err != nil || answered {
			return size, err
		}
	}
	return 0, nil
}

// echo sends one ICMP echo request that nobody may fragment and waits for the answer.
func echo(ctx context.Context, server netip.Addr, size int) (bool, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMP)
	if err != nil {
		return false, fmt.Errorf("open a socket for ICMP: %w", err)
	}
	socket := os.NewFile(uintptr(fd), "icmp")
	defer func() { _ = socket.Close() }()
	// PROBE: set "do not fragment" and ignore what was learnt about the path before (ip(7)).
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE); err != nil {
		return false, fmt.Errorf("forbid fragments: %w", err)
	}
	to := &unix.SockaddrInet4{Addr: server.As4()}
	if err := unix.Connect(fd, to); err != nil {
		return false, fmt.Errorf("reach %s: %w", server, err)
	}
	request := echoRequest(uint16(os.Getpid()), uint16(size), size-ipHeader)
	if err := unix.Send(fd, request, 0); err != nil {
		if errors.Is(err, unix.EMSGSIZE) {
			return false, nil
		}
		return false, fmt.Errorf("ask %s for an echo: %w", server, err)
	}
	return awaitEcho(ctx, socket, request)
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

// answers tells whether an IPv4 packet is the answer to an echo request.
func answers(packet, request []byte) bool {
	if len(packet) < ipHeader {
		return false
	}
	header := int(packet[0]&0xf) * 4
	if header < ipHeader || len(packet) < header+icmpHeader {
		return false
	}
	icmp := packet[header:]
	return icmp[0] == 0 && len(icmp) == len(request) && string(icmp[4:8]) == string(request[4:8])
}
