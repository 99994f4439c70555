package genl

import (
	"fmt"
	"net/netip"
	"time"
)

// Role is what a synchronisation daemon does (IP_VS_STATE_*).
type Role uint8

// Roles. A host may run one daemon of each.
const (
	Master Role = 1 // tells the others of its connections
	Backup Role = 2 // learns from them
)

// String returns the name that ipvsadm uses.
func (r Role) String() string {
	switch r {
	case Master:
		return "master"
	case Backup:
		return "backup"
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// Daemon is a synchronisation daemon of the kernel. Zero fields after SyncID are the kernel's
// defaults, which are read back as what they are: the longest packet that the interface takes,
// 224.0.0.81, 8848, 1.
type Daemon struct {
	Role Role
	// Interface is the network interface, at most 15 bytes.
	Interface string
	// SyncID must be the same on hosts that belong together: 0 to 255, 0 listens to all.
	SyncID uint32
	// MaxLength is the longest packet's payload in bytes.
	MaxLength uint16
	// Group is the multicast address, IPv4 or IPv6.
	Group netip.Addr
	// Port is the first UDP port; each of several threads takes the next.
	Port uint16
	// TTL is the multicast time to live.
	TTL uint8
}

// String describes the daemon for messages.
func (d Daemon) String() string {
	return fmt.Sprintf("%s on %s, ID %d, group %s port %d, TTL %d, at most %d bytes",
		d.Role, d.Interface, d.SyncID, d.Group, d.Port, d.TTL, d.MaxLength)
}

// Timeouts are the idle timeouts of connections, one set for the network namespace, in whole
// seconds. In writes 0 leaves one as it is.
type Timeouts struct {
	TCP, TCPFin, UDP time.Duration
}

// Info is what the kernel tells of IPVS itself.
type Info struct {
	// Major, Minor and Patch are the version of IPVS: 1.2.1 for the last twenty years.
	Major, Minor, Patch uint8
	// ConnectionTableSize is the number of buckets of the connection table, not a limit.
	ConnectionTableSize uint32
}

// String returns version and size as ipvsadm does.
func (i Info) String() string {
	return fmt.Sprintf("IP Virtual Server version %d.%d.%d (size=%d)", i.Major, i.Minor, i.Patch, i.ConnectionTableSize)
}
