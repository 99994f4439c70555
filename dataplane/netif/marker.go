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
// label begins with the whole interface name, so long names are cut to make room. IPv6 has no
// labels; its second mark is the metric (IFA_RT_PRIORITY), which `ip -6 address` shows too. It is
// that of the route for the address's prefix, and our addresses add none, so its value is free.
type Marker struct {
	// Proto is the value of IFA_PROTO; not 0 to 3, which the kernel uses.
	Proto uint8
	// Suffix ends the label, with its colon.
	Suffix string
	// Metric is the value of IFA_RT_PRIORITY.
	Metric uint32
}

// DirectorMarker marks virtual IP addresses on a director's interfaces. The protocol number is
// used by no routing daemon of linux/rtnetlink.h.
func DirectorMarker() Marker { return Marker{Proto: 0x54, Suffix: ":tp", Metric: 0x54507670} }

// RealServerMarker marks virtual IP addresses on a real server's loopback interface.
func RealServerMarker() Marker { return Marker{Proto: 0x55, Suffix: ":tr", Metric: 0x54507672} }

// Owns tells whether the address carries the mark.
func (m Marker) Owns(a Address) bool {
	if a.Prefix.Addr().Is6() {
		return a.Proto == m.Proto || a.Metric == m.Metric
	}
	return a.Proto == m.Proto || strings.HasSuffix(a.Label, m.Suffix)
}

// Mark returns the address with both marks; a.Interface must be set. An IPv6 address becomes
// Passive.
func (m Marker) Mark(a Address) Address {
	a.Proto = m.Proto
	if a.Prefix.Addr().Is4() {
		a.Label = m.label(a.Interface)
		return a
	}
	a.Metric, a.Passive = m.Metric, true
	return a
}

func (m Marker) label(name string) string {
	return name[:min(len(name), labelMax-len(m.Suffix))] + m.Suffix
}

// Ours tells whether any part of this program put the address there.
func Ours(a Address) bool {
	return DirectorMarker().Owns(a) || RealServerMarker().Owns(a)
}
