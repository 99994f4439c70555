package genl

import (
	"fmt"
	"net/netip"
	"strings"
)

// Forward is a forwarding method (IP_VS_CONN_F_*, the bits of IP_VS_CONN_F_FWD_MASK).
type Forward uint8

// Forwarding methods.
const (
	Masquerade  Forward = 0
	LocalNode   Forward = 1
	Tunnel      Forward = 2
	DirectRoute Forward = 3
	Bypass      Forward = 4
)

// String returns the name that /proc/net/ip_vs uses.
func (f Forward) String() string {
	switch f {
	case Masquerade:
		return "Masq"
	case LocalNode:
		return "Local"
	case Tunnel:
		return "Tunnel"
	case DirectRoute:
		return "Route"
	case Bypass:
		return "Bypass"
	}
	return fmt.Sprintf("method %d", uint8(f))
}

// TunnelType is how packets are wrapped (IP_VS_CONN_F_TUNNEL_TYPE_*, since Linux 5.3).
type TunnelType uint8

// Types of tunnels.
const (
	IPIP TunnelType = 0
	GUE  TunnelType = 1
	GRE  TunnelType = 2
)

// String returns the name that ipvsadm uses.
func (t TunnelType) String() string {
	switch t {
	case IPIP:
		return "ipip"
	case GUE:
		return "gue"
	case GRE:
		return "gre"
	}
	return fmt.Sprintf("tunnel type %d", uint8(t))
}

// TunnelFlags are IP_VS_TUNNEL_ENCAP_FLAG_*.
type TunnelFlags uint16

// Flags of GUE and GRE tunnels.
const (
	// TunnelChecksum adds a checksum to the outer packet.
	TunnelChecksum TunnelFlags = 1
	// TunnelRemoteChecksum lets the far end fill in the inner checksum.
	TunnelRemoteChecksum TunnelFlags = 2
)

// TunnelSettings are the wrapping of a destination whose Forward is Tunnel; the zero value is
// IPIP.
type TunnelSettings struct {
	Type TunnelType
	// Port is the UDP port of GUE, which needs one.
	Port  uint16
	Flags TunnelFlags
}

// Destination is one real server of a service.
type Destination struct {
	// Address is the server's. Port 0 is the port that the client came to. A destination of
	// the service's other address family has to be reached by Tunnel; together with Port, Address
	// tells the destinations of a service apart.
	Address netip.AddrPort
	// Forward is the forwarding method.
	Forward Forward
	// Weight is the share of new connections, 0 to 2^31-1; 0: none, established ones go on.
	Weight int
	// UpperThreshold is the number of connections at which the destination gets no new ones,
	// LowerThreshold that at which it gets some again; 0 for none. The lower must not be higher.
	UpperThreshold, LowerThreshold uint32
	// Tunnel is how packets are wrapped.
	Tunnel TunnelSettings

	// Active, Inactive and Persistent are the connections now: established, others that are
	// remembered, and clients that are. Ignored in writes.
	Active, Inactive, Persistent uint32
	// Stats are the kernel's counters; ignored in writes.
	Stats Stats
}

// Equal compares what a write sets; connections and counters are left out.
func (d Destination) Equal(o Destination) bool {
	return d.settings() == o.settings()
}

func (d Destination) settings() Destination {
	d.Active, d.Inactive, d.Persistent, d.Stats = 0, 0, 0, Stats{}
	return d
}

// String describes the destination for messages.
func (d Destination) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s weight %d", d.Address, d.Forward, d.Weight)
	if d.Tunnel != (TunnelSettings{}) {
		fmt.Fprintf(&b, " %s port %d flags %#x", d.Tunnel.Type, d.Tunnel.Port, uint16(d.Tunnel.Flags))
	}
	if d.UpperThreshold != 0 || d.LowerThreshold != 0 {
		fmt.Fprintf(&b, " thresholds %d/%d", d.UpperThreshold, d.LowerThreshold)
	}
	return b.String()
}

// Stats are totals since the service or destination was added or zeroed, and rates over the last
// seconds. The kernel sums them up every two seconds. Kernels before 4.1 count connections and packets in 32 bits; there they wrap.
type Stats struct {
	Connections, PacketsIn, PacketsOut, BytesIn, BytesOut uint64
	// Rates are per second.
	ConnectionRate, PacketRateIn, PacketRateOut, ByteRateIn, ByteRateOut uint64
}

// field returns the counter that an attribute of IPVS_STATS_ATTR_* is for.
func (s *Stats) field(kind uint16) *uint64 {
	return [...]*uint64{
		&s.Connections, &s.PacketsIn, &s.PacketsOut, &s.BytesIn, &s.BytesOut,
		&s.ConnectionRate, &s.PacketRateIn, &s.PacketRateOut, &s.ByteRateIn, &s.ByteRateOut,
	}[kind-statsConnections]
}
