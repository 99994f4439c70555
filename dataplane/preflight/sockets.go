package preflight

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Sizes of linux/inet_diag.h: struct inet_diag_req_v2 and the fixed part of inet_diag_msg.
const (
	diagRequestLength = 56
	diagMessageLength = 72
	stateListen       = 10 // TCP_LISTEN, net/tcp_states.h
)

// diagRequest asks for the listening TCP sockets of a family (struct inet_diag_req_v2).
type diagRequest struct{ family uint8 }

func (diagRequest) Len() int { return diagRequestLength }

func (r diagRequest) Serialize() []byte {
	b := make([]byte, diagRequestLength)
	b[0], b[1] = r.family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[4:], 1<<stateListen)
	return b
}

// listening is a socket as the kernel tells of it.
type listening struct {
	address netip.AddrPort
	inode   uint32
}

// listeners asks the kernel for all listening TCP sockets (sock_diag(7)).
func listeners() ([]listening, error) {
	var all []listening
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		request := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
		request.AddData(diagRequest{family})
		answers, err := request.Execute(unix.NETLINK_INET_DIAG, 0)
		if err != nil {
			return nil, fmt.Errorf("ask for listening sockets: %w", err)
		}
		for _, answer := range answers {
			l, err := parseDiag(answer)
			if err != nil {
				return nil, err
			}
			all = append(all, l)
		}
	}
	return all, nil
}

// parseDiag reads a struct inet_diag_msg.
func parseDiag(b []byte) (listening, error) {
	if len(b) < diagMessageLength {
		return listening{}, fmt.Errorf("an answer about a socket has %d bytes, not %d", len(b), diagMessageLength)
	}
	port := binary.BigEndian.Uint16(b[4:])
	inode := binary.NativeEndian.Uint32(b[68:])
	switch b[0] {
	case unix.AF_INET:
		return listening{netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[8:12])), port), inode}, nil
	case unix.AF_INET6:
		return listening{netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), port), inode}, nil
	}
	return listening{}, fmt.Errorf("an answer about a socket has family %d", b[0])
}

// sockets returns the sockets that listen on one of the ports, each with its program.
func sockets(ports map[uint16]bool, procfs string, holders *Holders) ([]Socket, error) {
	all, err := listeners()
	if err != nil {
		return nil, err
	}
	wanted := map[uint32]int{}
	var out []Socket
	for _, l := range all {
		if ports[l.address.Port()] {
			wanted[l.inode] = len(out)
			out = append(out, Socket{Address: l.address})
		}
	}
	holders.name(out, wanted, procfs)
	return out, nil
}
