package nft

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/model"
)

// Element is one element of one set or map of the table, in the bytes that the kernel has: each
// part of a concatenated key begins at a multiple of four bytes.
type Element struct {
	// Set is the name of the set.
	Set string
	// Key is what packets are compared with; the low end where the set has ranges.
	Key string
	// End is the high end of a range, itself included; empty elsewhere.
	End string
	// Value is what a map gives; empty in a set.
	Value string
	// Timeout is the time after which the element vanishes; 0: never. How long it is does
	// not make two elements different.
	Timeout time.Duration
}

// id is what no two elements of a table share.
func (e Element) id() string { return e.Set + "\x00" + e.Key + e.End }

// String shows the element like `nft list` does: set, key, value.
func (e Element) String() string {
	name := strings.TrimRight(e.Set, "46")
	six := strings.HasSuffix(e.Set, "6")
	text := e.Set + " " + showKey(name, six, e.Key)
	if e.End != "" {
		text += "-" + fmt.Sprint(binary.BigEndian.Uint16([]byte(e.End[len(e.End)-4:])))
	}
	if e.Value != "" {
		text += fmt.Sprintf(" : %#x", binary.NativeEndian.Uint32([]byte(e.Value)))
	}
	return text
}

func showKey(name string, six bool, key string) string {
	length := 4
	if six {
		length = 16
	}
	address := func(at int) netip.Addr {
		a, _ := netip.AddrFromSlice([]byte(key[at : at+length]))
		return a
	}
	port := func(at int) uint16 { return binary.BigEndian.Uint16([]byte(key[at:])) }
	switch {
	case name == setPeers:
		return net.HardwareAddr(key).String()
	case name == setMasquerade, name == setMarks:
		return fmt.Sprintf("%#x", binary.NativeEndian.Uint32([]byte(key)))
	case name == setResets, name == setAnswers:
		return fmt.Sprintf("%s . %d . %s . %d", address(0), port(length), address(length+4), port(2*length+4))
	case len(key) == length:
		return address(0).String()
	}
	return fmt.Sprintf("%s . %d . %d", address(0), key[length], port(length+4))
}

// suffix is that of the sets of an address.
func suffix(a netip.Addr) string {
	if a.Is4() {
		return inet4.suffix
	}
	return inet6.suffix
}

func destinationKey(a netip.Addr, protocol uint8, port uint16) string {
	return string(a.AsSlice()) + string([]byte{protocol, 0, 0, 0}) + portKey(port)
}

func portKey(port uint16) string {
	return string(binary.BigEndian.AppendUint16(nil, port)) + "\x00\x00"
}

func flowKey(from, to netip.AddrPort) string {
	return string(from.Addr().AsSlice()) + portKey(from.Port()) + string(to.Addr().AsSlice()) + portKey(to.Port())
}

func markBytes(mark uint32) string { return string(binary.NativeEndian.AppendUint32(nil, mark)) }

// protocols are the IP protocol numbers of transport protocols.
var protocols = map[model.Protocol]uint8{model.TCP: unix.IPPROTO_TCP, model.UDP: unix.IPPROTO_UDP}
