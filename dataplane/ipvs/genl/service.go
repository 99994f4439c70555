package genl

import (
	"fmt"
	"net/netip"
	"strings"
)

// Protocol is an IP protocol number (linux/in.h).
type Protocol uint16

// Protocols that IPVS balances.
const (
	TCP  Protocol = 6
	UDP  Protocol = 17
	SCTP Protocol = 132
)

// String returns the protocol's name, or its number.
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "TCP"
	case UDP:
		return "UDP"
	case SCTP:
		return "SCTP"
	}
	return fmt.Sprintf("protocol %d", uint16(p))
}

// ServiceID is what tells services apart: a firewall mark in one address family, or a protocol,
// address and port. It can be a map's key. Make one with ByMark or ByAddress.
type ServiceID struct {
	// Mark is the firewall mark; 0 for services by address.
	Mark uint32
	// IPv6 tells the family of a service by mark; the kernel has one for each. False for
	// services by address.
	IPv6 bool
	// Protocol and Address select by address; zero for services by mark. Port 0 stands for all
	// ports and needs a persistent service.
	Protocol Protocol
	Address  netip.AddrPort
}

// ByMark names a service by firewall mark, which must not be 0.
func ByMark(mark uint32, ipv6 bool) ServiceID { return ServiceID{Mark: mark, IPv6: ipv6} }

// ByAddress names a service by protocol, address and port. An IPv4 address that is written as
// IPv6 (::ffff:192.0.2.1) is the IPv4 address.
func ByAddress(p Protocol, a netip.AddrPort) ServiceID {
	return ServiceID{Protocol: p, Address: netip.AddrPortFrom(a.Addr().Unmap(), a.Port())}
}

// Is6 tells whether the service's family is IPv6.
func (id ServiceID) Is6() bool { return id.IPv6 || id.Address.Addr().Is6() }

// String names the service for messages.
func (id ServiceID) String() string {
	switch {
	case id.Mark != 0 && id.IPv6:
		return fmt.Sprintf("firewall mark %#x (IPv6)", id.Mark)
	case id.Mark != 0:
		return fmt.Sprintf("firewall mark %#x", id.Mark)
	}
	return fmt.Sprintf("%s %s", id.Protocol, id.Address)
}

// Flags are a service's flags (IP_VS_SVC_F_*), without the one that the kernel adds to everything.
type Flags uint32

// Flags of a service. Those of schedulers have a meaning by scheduler.
const (
	// FlagPersistent keeps clients on their destinations for Service.TimeoutSeconds.
	FlagPersistent Flags = 0x1
	// FlagOnePacket schedules each UDP packet by itself.
	FlagOnePacket Flags = 0x4
	// FlagFallback lets sh and mh choose another destination where theirs cannot serve
	// (IP_VS_SVC_F_SCHED1).
	FlagFallback Flags = 0x8
	// FlagPort makes sh and mh hash the client's port too (IP_VS_SVC_F_SCHED2).
	FlagPort Flags = 0x10
	// FlagScheduler3 is not used by any scheduler yet (IP_VS_SVC_F_SCHED3).
	FlagScheduler3 Flags = 0x20
)

// String lists the flags by name.
func (f Flags) String() string {
	var names []string
	for _, flag := range [...]struct {
		flag Flags
		name string
	}{
		{FlagPersistent, "persistent"}, {FlagOnePacket, "one-packet"}, {FlagFallback, "fallback"},
		{FlagPort, "port"}, {FlagScheduler3, "scheduler-3"},
	} {
		if f&flag.flag != 0 {
			names = append(names, flag.name)
			f &^= flag.flag
		}
	}
	if f != 0 {
		names = append(names, fmt.Sprintf("%#x", uint32(f)))
	}
	return strings.Join(names, ",")
}

// MaskWithHoles is the PrefixLength of an IPv4 service whose mask is none, such as 255.0.255.0.
// It is only ever read: the package sets no such mask.
const MaskWithHoles = -1

// Service is one virtual service.
type Service struct {
	ServiceID
	// Scheduler is the kernel's name of the scheduling method: rr, wrr, lc, wlc, sh, mh and
	// others, 1 to 15 characters.
	Scheduler string
	// Engine is the name of the persistence engine ("sip"); empty for none.
	Engine string
	// Flags are the service's flags.
	Flags Flags
	// TimeoutSeconds is how long a client of a persistent service is remembered: at most
	// MaxTimeoutSeconds.
	TimeoutSeconds uint32
	// PrefixLength is how many bits of its address make a client of a persistent service: 0 to
	// 32, for IPv6 1 to 128. The kernel wants one of services that are not persistent, too: 32
	// and 128 are what ipvsadm writes.
	PrefixLength int
	// Stats are the kernel's counters; ignored in writes.
	Stats Stats
}

// MaxTimeoutSeconds is the longest persistence. The kernel keeps it in 32 bits of clock ticks, up
// to 1000 a second, and does not notice when that overflows (ip_vs_add_service).
const MaxTimeoutSeconds = (1<<32 - 1) / 1000

// Equal compares what a write sets; counters are left out.
func (s Service) Equal(o Service) bool {
	s.Stats, o.Stats = Stats{}, Stats{}
	return s == o
}

// String describes the service for messages.
func (s Service) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", s.ServiceID, s.Scheduler)
	if s.Flags != 0 {
		fmt.Fprintf(&b, " %s", s.Flags)
	}
	if s.Flags&FlagPersistent != 0 {
		fmt.Fprintf(&b, " %ds /%d", s.TimeoutSeconds, s.PrefixLength)
	}
	if s.Engine != "" {
		fmt.Fprintf(&b, " engine %s", s.Engine)
	}
	return b.String()
}
