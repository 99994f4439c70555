package genl

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const (
	attrHeader    = 4  // struct nlattr
	messageHeader = 16 // struct nlmsghdr
	genericHeader = 4  // struct genlmsghdr

	typeMask = 0x3fff // NLA_TYPE_MASK: without NLA_F_NESTED and NLA_F_NET_BYTEORDER
)

// begin appends the headers of a message, whose length finish fills in.
func begin(b []byte, family, flags uint16, seq uint32, command, version uint8) []byte {
	b = append(b, 0, 0, 0, 0)
	b = binary.NativeEndian.AppendUint16(b, family)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|flags)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = append(b, 0, 0, 0, 0) // the port: the kernel knows it
	return append(b, command, version, 0, 0)
}

// finish fills in the length of the message that begins at start.
func finish(b []byte, start int) []byte {
	binary.NativeEndian.PutUint32(b[start:], uint32(len(b)-start))
	return b
}

func attribute(b []byte, kind uint16, value ...byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(attrHeader+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, align(len(value))-len(value))...)
}

func attribute16(b []byte, kind, value uint16) []byte {
	var v [2]byte
	binary.NativeEndian.PutUint16(v[:], value)
	return attribute(b, kind, v[:]...)
}

func attributePort(b []byte, kind, value uint16) []byte {
	return attribute(b, kind, byte(value>>8), byte(value))
}

func attribute32(b []byte, kind uint16, value uint32) []byte {
	var v [4]byte
	binary.NativeEndian.PutUint32(v[:], value)
	return attribute(b, kind, v[:]...)
}

func attributeName(b []byte, kind uint16, name string) []byte {
	var v [maxName]byte
	return attribute(b, kind, v[:copy(v[:maxName-1], name)+1]...)
}

func attributeAddress(b []byte, kind uint16, address netip.Addr) []byte {
	if address.Is4() {
		v := address.As4()
		return attribute(b, kind, v[:]...)
	}
	v := address.As16()
	return attribute(b, kind, v[:]...)
}

// nest appends the header of an attribute of attributes; unnest ends it.
func nest(b []byte, kind uint16) (start int, longer []byte) {
	return len(b), attribute(b, kind|unix.NLA_F_NESTED)
}

func unnest(b []byte, start int) []byte {
	binary.NativeEndian.PutUint16(b[start:], uint16(len(b)-start))
	return b
}

func family(is6 bool) uint16 {
	if is6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// appendServiceID appends the attributes that name a service.
func appendServiceID(b []byte, id ServiceID) []byte {
	b = attribute16(b, svcFamily, family(id.Is6()))
	if id.Mark != 0 {
		return attribute32(b, svcMark, id.Mark)
	}
	b = attribute16(b, svcProtocol, uint16(id.Protocol))
	b = attributeAddress(b, svcAddress, id.Address.Addr())
	return attributePort(b, svcPort, id.Address.Port())
}

// appendService appends IPVS_CMD_ATTR_SERVICE: all settings if full, otherwise the names only.
func appendService(b []byte, s *Service, full bool) []byte {
	start, b := nest(b, attrService)
	b = appendServiceID(b, s.ServiceID)
	if full {
		b = attributeName(b, svcScheduler, s.Scheduler)
		if s.Engine != "" {
			b = attributeName(b, svcEngine, s.Engine)
		}
		var flags [8]byte
		binary.NativeEndian.PutUint32(flags[:], uint32(s.Flags&^flagHashed))
		binary.NativeEndian.PutUint32(flags[4:], allFlagsMask)
		b = attribute(b, svcFlags, flags[:]...)
		b = attribute32(b, svcTimeout, s.TimeoutSeconds)
		b = attribute32(b, svcNetmask, netmask(s.PrefixLength, s.Is6()))
	}
	return unnest(b, start)
}

// netmask returns the mask as the kernel wants it: IPv4 the four bytes of the mask as they lie in
// memory, IPv6 the length (ip_vs_ctl.c, ip_vs_genl_parse_service).
func netmask(length int, is6 bool) uint32 {
	if is6 {
		return uint32(length)
	}
	return binary.NativeEndian.Uint32(net.CIDRMask(length, 32))
}

// appendDestination appends IPVS_CMD_ATTR_DEST: all settings if full, otherwise the names only.
func appendDestination(b []byte, d *Destination, full bool) []byte {
	start, b := nest(b, attrDest)
	b = attributeAddress(b, destAddress, d.Address.Addr())
	b = attributePort(b, destPort, d.Address.Port())
	b = attribute16(b, destFamily, family(d.Address.Addr().Is6()))
	if full {
		b = attribute32(b, destForward, uint32(d.Forward))
		b = attribute32(b, destWeight, uint32(d.Weight))
		b = attribute32(b, destUpper, d.UpperThreshold)
		b = attribute32(b, destLower, d.LowerThreshold)
		if d.Tunnel != (TunnelSettings{}) {
			b = attribute(b, destTunnelType, byte(d.Tunnel.Type))
			b = attributePort(b, destTunnelPort, d.Tunnel.Port)
			b = attribute16(b, destTunnelFlags, uint16(d.Tunnel.Flags))
		}
	}
	return unnest(b, start)
}

// appendDaemon appends IPVS_CMD_ATTR_DAEMON without the settings that are the kernel's to choose.
func appendDaemon(b []byte, d *Daemon) []byte {
	start, b := nest(b, attrDaemon)
	b = attribute32(b, daemonState, uint32(d.Role))
	b = attributeName(b, daemonInterface, d.Interface)
	b = attribute32(b, daemonSyncID, d.SyncID)
	if d.MaxLength != 0 {
		b = attribute16(b, daemonMaxLen, d.MaxLength)
	}
	switch {
	case d.Group.Is4():
		b = attributeAddress(b, daemonGroup, d.Group)
	case d.Group.Is6():
		b = attributeAddress(b, daemonGroup6, d.Group)
	}
	if d.Port != 0 {
		b = attribute16(b, daemonPort, d.Port)
	}
	if d.TTL != 0 {
		b = attribute(b, daemonTTL, d.TTL)
	}
	return unnest(b, start)
}

func appendTimeouts(b []byte, t Timeouts) []byte {
	for kind, value := range [...]time.Duration{attrTimeoutTCP: t.TCP, attrTimeoutTCPFin: t.TCPFin, attrTimeoutUDP: t.UDP} {
		if value != 0 {
			b = attribute32(b, uint16(kind), uint32(value/time.Second))
		}
	}
	return b
}

// check refuses timeouts that the kernel would not understand as they are meant.
func (t Timeouts) check() error {
	for _, value := range [...]time.Duration{t.TCP, t.TCPFin, t.UDP} {
		if value < 0 || value%time.Second != 0 || value/time.Second > math.MaxInt32 {
			return fmt.Errorf("%w: a timeout of %s: write whole seconds", ErrInvalid, value)
		}
	}
	return nil
}
