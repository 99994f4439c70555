package genl

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// attributes walks a sequence of netlink attributes (linux/netlink.h, struct nlattr): length and
// type in host order, value, padding to four bytes. It stops at the first fault, which fault has.
type attributes struct {
	rest  []byte
	seen  uint32 // bits of the known types that came
	fault error
}

// next returns the next attribute with its flag bits taken off. Types of 32 and more are from a
// newer kernel and are left out; one that comes twice is a fault, save the padding's.
func (a *attributes) next(pad uint16) (kind uint16, value []byte, ok bool) {
	for len(a.rest) > 0 && a.fault == nil {
		kind, value = a.cut()
		switch {
		case a.fault != nil || kind >= 32 || kind == pad && pad != 0:
			continue
		case a.seen&(1<<kind) != 0:
			a.fail("attribute %d comes twice", kind)
			continue
		}
		a.seen |= 1 << kind
		return kind, value, true
	}
	return 0, nil, false
}

func (a *attributes) cut() (kind uint16, value []byte) {
	if len(a.rest) < attrHeader {
		a.fail("%d bytes are left where an attribute should begin", len(a.rest))
		return 0, nil
	}
	length := int(binary.NativeEndian.Uint16(a.rest))
	kind = binary.NativeEndian.Uint16(a.rest[2:]) & typeMask
	if length < attrHeader || length > len(a.rest) {
		a.fail("attribute %d claims %d of %d bytes", kind, length, len(a.rest))
		return kind, nil
	}
	value = a.rest[attrHeader:length]
	a.rest = a.rest[min(align(length), len(a.rest)):]
	return kind, value
}

// end returns the fault, or one about the first of the mandatory attributes that did not come.
func (a *attributes) end(mandatory ...uint16) error {
	for _, kind := range mandatory {
		if a.fault == nil && a.seen&(1<<kind) == 0 {
			a.fail("attribute %d is missing", kind)
		}
	}
	return a.fault
}

func (a *attributes) fail(format string, args ...any) {
	if a.fault == nil {
		a.fault = fmt.Errorf("%w: "+format, append([]any{ErrAnswer}, args...)...)
	}
}

func (a *attributes) sized(kind uint16, value []byte, length int) bool {
	if len(value) != length {
		a.fail("attribute %d has %d bytes, want %d", kind, len(value), length)
	}
	return len(value) == length
}

func (a *attributes) u8(kind uint16, value []byte) uint8 {
	if !a.sized(kind, value, 1) {
		return 0
	}
	return value[0]
}

func (a *attributes) u16(kind uint16, value []byte) uint16 {
	if !a.sized(kind, value, 2) {
		return 0
	}
	return binary.NativeEndian.Uint16(value)
}

func (a *attributes) port(kind uint16, value []byte) uint16 {
	if !a.sized(kind, value, 2) {
		return 0
	}
	return binary.BigEndian.Uint16(value)
}

func (a *attributes) u32(kind uint16, value []byte) uint32 {
	if !a.sized(kind, value, 4) {
		return 0
	}
	return binary.NativeEndian.Uint32(value)
}

func (a *attributes) u64(kind uint16, value []byte) uint64 {
	if !a.sized(kind, value, 8) {
		return 0
	}
	return binary.NativeEndian.Uint64(value)
}

// name returns a string that ends with a NUL and has 1 to 15 visible ASCII characters before it.
func (a *attributes) name(kind uint16, value []byte) string {
	last := len(value) - 1
	if last < 1 || last >= maxName || value[last] != 0 || !visible(value[:last]) {
		a.fail("attribute %d is no name", kind)
		return ""
	}
	return intern(value[:last])
}

// visible tells whether all bytes are printable ASCII other than the space.
func visible[T string | []byte](name T) bool {
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' {
			return false
		}
	}
	return true
}

// intern returns b as a string; usual names of schedulers cost no memory.
func intern(b []byte) string {
	for _, name := range [...]string{"rr", "wrr", "lc", "wlc", "sh", "mh", "dh", "sed", "nq", "fo", "ovf", "lblc", "lblcr"} {
		if string(b) == name {
			return name
		}
	}
	return string(b)
}

// address reads union nf_inet_addr: 16 bytes, of which IPv4 has the first four.
func (a *attributes) address(kind uint16, value []byte, family uint16) netip.Addr {
	switch {
	case family == unix.AF_INET && (len(value) == 4 || len(value) == 16):
		return netip.AddrFrom4([4]byte(value[:4]))
	case family == unix.AF_INET6 && len(value) == 16:
		return netip.AddrFrom16([16]byte(value))
	}
	a.fail("attribute %d has %d bytes, which is no address of family %d", kind, len(value), family)
	return netip.Addr{}
}

func align(length int) int { return (length + 3) &^ 3 }
