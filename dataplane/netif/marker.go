package netif

import "strings"

// labelMax is IFNAMSIZ (linux/if.h) without its terminating zero byte, in bytes.
const labelMax = 15

// Marker tells our addresses from everybody else's, in the kernel itself: no file can be lost.
//
// Two marks are set on each address and either is enough to recognise it. The protocol number
// (IFA_PROTO, linux/if_addr.h) exists since Linux 5.18 and for both families; older kernels
// ignore it silently. The label (IFA_LABEL) exists for IPv4 on every kernel and shows up in
// `ip address`, so that an administrator sees whose address it is. Linux does not ask that a
// label begins with the whole interface name, so long names are cut to make room.
type Marker struct {
	// Proto is the value of IFA_PROTO; not 0 to 3, which the kernel uses.
	Proto uint8
	// Suffix ends the label, with its colon.
	Suffix string
}

// DirectorMarker marks virtual IP addresses on a director's interfaces. The protocol number is
// used by no routing daemon of linux/rtnetlink.h.
func DirectorMarker() Marker { return Marker{Proto: 0x54, Suffix: ":tp"} }

// RealServerMarker marks virtual IP addresses on a real server's loopback interface.
func RealServerMarker() Marker { return Marker{Proto: 0x55, Suffix: ":tr"} }

// Owns tells whether the address carries the mark.
func (m Marker) Owns(a Address) bool {
	return a.Proto == m.Proto || strings.HasSuffix(a.Label, m.Suffix)
}

// Mark returns the address with both marks; a.Interface must be set.
func (m Marker) Mark(a Address) Address {
	a.Proto = m.Proto
	if a.Prefix.Addr().Is4() {
		a.Label = m.label(a.Interface)
	}
	return a
}

func (m Marker) label(name string) string {
	return name[:min(len(name), labelMax-len(m.Suffix))] + m.Suffix
}

// Ours tells whether any part of this program put the address there.
func Ours(a Address) bool {
	return DirectorMarker().Owns(a) || RealServerMarker().Owns(a)
}
