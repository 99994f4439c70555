package genl

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// nested returns the value of the one attribute of the first level that a message is made of.
func nested(payload []byte, want uint16) ([]byte, error) {
	a := attributes{rest: payload}
	var found []byte
	for kind, value, ok := a.next(0); ok; kind, value, ok = a.next(0) {
		if kind == want {
			found = value
		}
	}
	return found, a.end(want)
}

// decodeService reads IPVS_CMD_ATTR_SERVICE.
func decodeService(payload []byte) (Service, error) {
	value, err := nested(payload, attrService)
	if err != nil {
		return Service{}, fmt.Errorf("service: %w", err)
	}
	w := serviceWire{a: attributes{rest: value}}
	for kind, value, ok := w.a.next(0); ok; kind, value, ok = w.a.next(0) {
		w.take(kind, value)
	}
	s, err := w.finish()
	if err != nil {
		return Service{}, fmt.Errorf("service: %w", err)
	}
	return s, nil
}

// serviceWire is a service while it is being read: attributes may come in any order.
type serviceWire struct {
	a               attributes
	s               Service
	family          uint16
	address         []byte
	port            uint16
	netmask         uint32
	stats, narrower Stats
}

func (w *serviceWire) take(kind uint16, value []byte) {
	switch kind {
	case svcFamily:
		w.family = w.a.u16(kind, value)
	case svcProtocol:
		w.s.Protocol = Protocol(w.a.u16(kind, value))
	case svcAddress:
		w.address = value
	case svcPort:
		w.port = w.a.port(kind, value)
	case svcMark:
		w.s.Mark = w.a.u32(kind, value)
	case svcScheduler:
		w.s.Scheduler = w.a.name(kind, value)
	case svcEngine:
		w.s.Engine = w.a.name(kind, value)
	case svcFlags:
		if w.a.sized(kind, value, 8) {
			w.s.Flags = Flags(binary.NativeEndian.Uint32(value)) &^ flagHashed
		}
	case svcTimeout:
		w.s.TimeoutSeconds = w.a.u32(kind, value)
	case svcNetmask:
		w.netmask = w.a.u32(kind, value)
	case svcStats:
		w.narrower = w.a.stats(value, false)
	case svcStats64:
		w.stats = w.a.stats(value, true)
	}
}

func (w *serviceWire) finish() (Service, error) {
	if err := w.a.end(svcFamily, svcScheduler, svcFlags, svcTimeout, svcNetmask); err != nil {
		return w.s, err
	}
	if w.family != unix.AF_INET && w.family != unix.AF_INET6 {
		return w.s, fmt.Errorf("%w: address family %d", ErrAnswer, w.family)
	}
	is6 := w.family == unix.AF_INET6
	if w.s.Mark != 0 {
		w.s.IPv6, w.s.Protocol = is6, 0
	} else {
		if err := w.a.end(svcProtocol, svcAddress, svcPort); err != nil {
			return w.s, err
		}
		w.s.Address = netip.AddrPortFrom(w.a.address(svcAddress, w.address, w.family), w.port)
	}
	w.s.PrefixLength = w.a.prefixLength(w.netmask, is6)
	w.s.Stats = w.stats
	if w.a.seen&(1<<svcStats64) == 0 {
		w.s.Stats = w.narrower
	}
	return w.s, w.a.fault
}

// prefixLength is the opposite of netmask.
func (a *attributes) prefixLength(mask uint32, is6 bool) int {
	if is6 {
		if mask > 128 {
			a.fail("an IPv6 prefix of %d bits", mask)
		}
		return int(mask)
	}
	b := binary.NativeEndian.AppendUint32(nil, mask)
	m := binary.BigEndian.Uint32(b)
	if length := bits.LeadingZeros32(^m); m<<length == 0 {
		return length
	}
	return MaskWithHoles
}

// stats reads the counters: wide ones are all of 64 bits, others of 32 save the bytes.
func (a *attributes) stats(value []byte, wide bool) Stats {
	var s Stats
	in := attributes{rest: value}
	for kind, value, ok := in.next(statsPad); ok; kind, value, ok = in.next(statsPad) {
		switch {
		case kind < statsConnections || kind > statsLast:
		case wide || kind < statsRates && kind > 3: // bytes in and out
			*s.field(kind) = in.u64(kind, value)
		default:
			*s.field(kind) = uint64(in.u32(kind, value))
		}
	}
	if in.fault != nil && a.fault == nil {
		a.fault = fmt.Errorf("counters: %w", in.fault)
	}
	return s
}

// decodeDestination reads IPVS_CMD_ATTR_DEST; of is the family of its service, for kernels before
// 3.18, whose destinations had no other.
func decodeDestination(payload []byte, of uint16) (Destination, error) {
	value, err := nested(payload, attrDest)
	if err != nil {
		return Destination{}, fmt.Errorf("destination: %w", err)
	}
	w := destinationWire{a: attributes{rest: value}, family: of}
	for kind, value, ok := w.a.next(0); ok; kind, value, ok = w.a.next(0) {
		w.take(kind, value)
		w.takeTunnel(kind, value)
	}
	d, err := w.finish()
	if err != nil {
		return Destination{}, fmt.Errorf("destination: %w", err)
	}
	return d, nil
}

// destinationWire is a destination while it is being read.
type destinationWire struct {
	a               attributes
	d               Destination
	family          uint16
	address         []byte
	port            uint16
	stats, narrower Stats
}

func (w *destinationWire) take(kind uint16, value []byte) {
	switch kind {
	case destFamily:
		w.family = w.a.u16(kind, value)
	case destAddress:
		w.address = value
	case destPort:
		w.port = w.a.port(kind, value)
	case destForward:
		w.d.Forward = Forward(w.a.u32(kind, value) & forwardMask)
	case destWeight:
		w.d.Weight = w.weight(value)
	case destUpper:
		w.d.UpperThreshold = w.a.u32(kind, value)
	case destLower:
		w.d.LowerThreshold = w.a.u32(kind, value)
	case destActive:
		w.d.Active = w.a.u32(kind, value)
	case destInactive:
		w.d.Inactive = w.a.u32(kind, value)
	case destPersistent:
		w.d.Persistent = w.a.u32(kind, value)
	case destStats:
		w.narrower = w.a.stats(value, false)
	case destStats64:
		w.stats = w.a.stats(value, true)
	}
}

func (w *destinationWire) weight(value []byte) int {
	weight := w.a.u32(destWeight, value)
	if weight > math.MaxInt32 {
		w.a.fail("a negative weight")
	}
	return int(weight)
}

func (w *destinationWire) takeTunnel(kind uint16, value []byte) {
	switch kind {
	case destTunnelType:
		w.d.Tunnel.Type = TunnelType(w.a.u8(kind, value))
	case destTunnelPort:
		w.d.Tunnel.Port = w.a.port(kind, value)
	case destTunnelFlags:
		w.d.Tunnel.Flags = TunnelFlags(w.a.u16(kind, value))
	}
}

func (w *destinationWire) finish() (Destination, error) {
	if err := w.a.end(destAddress, destPort, destForward, destWeight, destUpper, destLower); err != nil {
		return w.d, err
	}
	w.d.Address = netip.AddrPortFrom(w.a.address(destAddress, w.address, w.family), w.port)
	w.d.Stats = w.stats
	if w.a.seen&(1<<destStats64) == 0 {
		w.d.Stats = w.narrower
	}
	return w.d, w.a.fault
}

// decodeDaemon reads IPVS_CMD_ATTR_DAEMON.
func decodeDaemon(payload []byte) (Daemon, error) {
	value, err := nested(payload, attrDaemon)
	if err != nil {
		return Daemon{}, fmt.Errorf("daemon: %w", err)
	}
	var d Daemon
	a := attributes{rest: value}
	for kind, value, ok := a.next(0); ok; kind, value, ok = a.next(0) {
		switch kind {
		case daemonState:
			d.Role = Role(a.u32(kind, value))
		case daemonInterface:
			d.Interface = a.name(kind, value)
		case daemonSyncID:
			d.SyncID = a.u32(kind, value)
		case daemonMaxLen:
			d.MaxLength = a.u16(kind, value)
		case daemonGroup:
			d.Group = a.address(kind, value, unix.AF_INET)
		case daemonGroup6:
			d.Group = a.address(kind, value, unix.AF_INET6)
		case daemonPort:
			d.Port = a.u16(kind, value)
		case daemonTTL:
			d.TTL = a.u8(kind, value)
		}
	}
	if err := a.end(daemonState, daemonInterface, daemonSyncID); err != nil {
		return Daemon{}, fmt.Errorf("daemon: %w", err)
	}
	return d, nil
}

// decodeTimeouts reads the answer to IPVS_CMD_GET_CONFIG. A kernel that is built without TCP or
// UDP leaves them out.
func decodeTimeouts(payload []byte) (Timeouts, error) {
	var t Timeouts
	a := attributes{rest: payload}
	for kind, value, ok := a.next(0); ok; kind, value, ok = a.next(0) {
		seconds := time.Duration(0)
		if kind >= attrTimeoutTCP && kind <= attrTimeoutUDP {
			seconds = time.Duration(a.u32(kind, value)) * time.Second
		}
		switch kind {
		case attrTimeoutTCP:
			t.TCP = seconds
		case attrTimeoutTCPFin:
			t.TCPFin = seconds
		case attrTimeoutUDP:
			t.UDP = seconds
		}
	}
	return t, a.end()
}

// decodeInfo reads the answer to IPVS_CMD_GET_INFO.
func decodeInfo(payload []byte) (Info, error) {
	var i Info
	a := attributes{rest: payload}
	for kind, value, ok := a.next(0); ok; kind, value, ok = a.next(0) {
		switch kind {
		case infoVersion:
			version := a.u32(kind, value)
			i.Major, i.Minor, i.Patch = uint8(version>>16), uint8(version>>8), uint8(version)
		case infoSize:
			i.ConnectionTableSize = a.u32(kind, value)
		}
	}
	return i, a.end(infoVersion, infoSize)
}

// decodeFamily reads the number of the family out of the controller's answer.
func decodeFamily(payload []byte) (uint16, error) {
	var family uint16
	a := attributes{rest: payload}
	for kind, value, ok := a.next(0); ok; kind, value, ok = a.next(0) {
		if kind == controlID {
			family = a.u16(kind, value)
		}
	}
	return family, a.end(controlID)
}
