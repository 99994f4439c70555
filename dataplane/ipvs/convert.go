package ipvs

import (
	"encoding/binary"
	"math/bits"
	"net"
	"net/netip"

	moby "github.com/moby/ipvs"
	"golang.org/x/sys/unix"
)

// serviceTo and serviceFrom translate to and from the library's values. Services by mark carry a
// family and neither protocol, address nor port; the kernel adds flagHashed to what it lists.
func serviceTo(s Service) *moby.Service {
	to := &moby.Service{
		FWMark:        s.Mark,
		Protocol:      s.Protocol,
		Port:          s.Address.Port(),
		SchedName:     s.Scheduler,
		Flags:         s.Flags,
		Timeout:       s.Timeout,
		AddressFamily: unix.AF_INET,
	}
	if s.IPv6 || s.Address.Addr().Is6() {
		to.AddressFamily = unix.AF_INET6
	}
	if s.Mark == 0 {
		to.Address = net.IP(s.Address.Addr().AsSlice())
	}
	to.Netmask = netmask(s.PrefixLength, to.AddressFamily)
	return to
}

func serviceFrom(s *moby.Service) Service {
	from := Service{
		Mark:         s.FWMark,
		Protocol:     s.Protocol,
		IPv6:         s.AddressFamily == unix.AF_INET6,
		Scheduler:    s.SchedName,
		Flags:        s.Flags &^ flagHashed,
		Timeout:      s.Timeout,
		PrefixLength: prefixLength(s.Netmask, s.AddressFamily),
		Counters: Counters{
			Connections: s.Stats.Connections, PacketsIn: s.Stats.PacketsIn, BytesIn: s.Stats.BytesIn,
		},
	}
	if address, ok := netip.AddrFromSlice(s.Address); ok && s.FWMark == 0 {
		from.Address = netip.AddrPortFrom(address, s.Port)
	}
	return from
}

// netmask returns the mask as the library wants it: for IPv4 the four bytes of the mask as they
// lie in memory, for IPv6 the length (ip_vs_ctl.c, ip_vs_genl_parse_service).
func netmask(length int, family uint16) uint32 {
	if family == unix.AF_INET6 {
		return uint32(length)
	}
	return binary.NativeEndian.Uint32(net.CIDRMask(length, 32))
}

// prefixLength is the opposite of netmask; -1 for a mask with holes, which equals no length.
func prefixLength(mask uint32, family uint16) int {
	if family == unix.AF_INET6 {
		return int(mask)
	}
	b := binary.NativeEndian.AppendUint32(nil, mask)
	m := binary.BigEndian.Uint32(b)
	if length := bits.LeadingZeros32(^m); m<<length == 0 {
		return length
	}
	return -1
}

func destinationTo(d Destination) *moby.Destination {
	return &moby.Destination{
		Address:         net.IP(d.Address.AsSlice()),
		Port:            d.Port,
		Weight:          d.Weight,
		ConnectionFlags: d.Forward,
		UpperThreshold:  d.UpperThreshold,
		LowerThreshold:  d.LowerThreshold,
	}
}

func destinationFrom(d *moby.Destination) Destination {
	address, _ := netip.AddrFromSlice(d.Address)
	return Destination{
		Address:        address.Unmap(),
		Port:           d.Port,
		Forward:        d.ConnectionFlags & moby.ConnectionFlagFwdMask,
		Weight:         d.Weight,
		UpperThreshold: d.UpperThreshold,
		LowerThreshold: d.LowerThreshold,
		Active:         d.ActiveConnections,
		Inactive:       d.InactiveConnections,
		Counters: Counters{
			Connections: d.Stats.Connections, PacketsIn: d.Stats.PacketsIn, BytesIn: d.Stats.BytesIn,
		},
	}
}
