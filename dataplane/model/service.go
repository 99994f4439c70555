package model

import (
	"net/netip"
	"time"
)

// Protocol is a transport protocol.
type Protocol string

// Transport protocols: RFC 9293 and RFC 768.
const (
	TCP Protocol = "TCP"
	UDP Protocol = "UDP"
)

// Scheduler is the kernel's name of an IPVS scheduling method (net/netfilter/ipvs).
type Scheduler string

// Schedulers.
const (
	RoundRobin              Scheduler = "rr"
	WeightedRoundRobin      Scheduler = "wrr"
	LeastConnection         Scheduler = "lc"
	WeightedLeastConnection Scheduler = "wlc"
	SourceHash              Scheduler = "sh"
	MaglevHash              Scheduler = "mh"
	ShortestExpectedDelay   Scheduler = "sed"
	NeverQueue              Scheduler = "nq"
	WeightedFailover        Scheduler = "fo"
	WeightedOverflow        Scheduler = "ovf"
)

// Forwarding is how IPVS sends a packet to a real server.
type Forwarding string

// Ways of forwarding.
const (
	// DirectRouting rewrites the destination MAC address only (IP_VS_CONN_F_DROUTE).
	DirectRouting Forwarding = "DirectRouting"
	// Tunnel puts the packet into another one to the server, IPIP (IP_VS_CONN_F_TUNNEL).
	Tunnel Forwarding = "Tunnel"
	// NAT rewrites the destination; replies must come back through the director
	// (IP_VS_CONN_F_MASQ).
	NAT Forwarding = "NAT"
	// SNAT is NAT that also rewrites the source to an address of the director, so that replies
	// come back by themselves.
	SNAT Forwarding = "SNAT"
)

// VirtualService is one layer 4 virtual service: every packet to one of its addresses and ports
// gets its firewall mark in nftables, and IPVS schedules by that mark. Several ports and
// addresses are so one group with common persistence.
type VirtualService struct {
	// Key identifies the service: namespace/balancer/service, or namespace/balancer/@group.
	// Two entries of one Key have addresses of different families and the same Mark.
	Key string `json:"key"`
	// Mark is the firewall mark; not zero; unique on the host within one address family; a
	// stable function of Key.
	Mark uint32 `json:"mark"`
	// Addresses are the virtual IP addresses, all of one family, ascending.
	Addresses []netip.Addr `json:"addresses"`
	// Protocol is the transport protocol.
	Protocol Protocol `json:"protocol"`
	// Ports are the ports, ascending.
	Ports []uint16 `json:"ports"`
	// PortRanges are further ports, ascending; no port is named twice.
	PortRanges []PortRange `json:"portRanges,omitempty"`
	// Also are the addresses and ports of further virtual services of the same persistence
	// group: a client sticks to one server across all of them.
	Also []Match `json:"also,omitempty"`
	// Forwarding is how packets reach the servers.
	Forwarding Forwarding `json:"forwarding"`
	// Scheduler chooses the server of a new connection.
	Scheduler Scheduler `json:"scheduler"`
	// SchedulerFlags change what the scheduler does.
	SchedulerFlags SchedulerFlags `json:"schedulerFlags,omitzero"`
	// OnePacket schedules each UDP packet by itself (IP_VS_SVC_F_ONEPACKET).
	OnePacket bool `json:"onePacket,omitempty"`
	// Persistence keeps a client on one server; nil: none.
	Persistence *Persistence `json:"persistence,omitempty"`
	// DrainTimeout is how long the connections of a server in state Drain may go on; then they are
	// reset. 0: no limit.
	DrainTimeout time.Duration `json:"drainTimeout,omitempty"`
	// HoldDown is how long a server that comes back must have been healthy without a break before
	// it takes over again from the one that stands in: fallback servers, and with WeightedFailover
	// the next in order. 0: at once.
	HoldDown time.Duration `json:"holdDown,omitempty"`
	// AllDown says what happens while every server is down.
	AllDown AllDown `json:"allDown,omitempty"`
	// Servers are the real servers.
	Servers []RealServer `json:"servers"`
}

// Match is a set of destinations.
type Match struct {
	// Addresses are virtual IP addresses of the service's family, ascending.
	Addresses []netip.Addr `json:"addresses"`
	// Protocol is the transport protocol.
	Protocol Protocol `json:"protocol"`
	// Ports are the ports, ascending.
	Ports []uint16 `json:"ports,omitempty"`
	// PortRanges are further ports, ascending.
	PortRanges []PortRange `json:"portRanges,omitempty"`
}

// Matches returns everything that the service answers on: its own first.
func (s *VirtualService) Matches() []Match {
	own := Match{Addresses: s.Addresses, Protocol: s.Protocol, Ports: s.Ports, PortRanges: s.PortRanges}
	return append([]Match{own}, s.Also...)
}

// IPv6 tells the address family.
func (s *VirtualService) IPv6() bool { return len(s.Addresses) > 0 && s.Addresses[0].Is6() }

// PortRange is a range of ports, both ends included.
type PortRange struct {
	First uint16 `json:"first"`
	Last  uint16 `json:"last"`
}

// SchedulerFlags change what the hashing schedulers do (IP_VS_SVC_F_SCHED1 and 2).
type SchedulerFlags struct {
	// Fallback lets sh and mh pass over a server that has no weight.
	Fallback bool `json:"fallback,omitempty"`
	// Port lets sh and mh hash the source port too.
	Port bool `json:"port,omitempty"`
}

// AllDown is what happens while every server of a service, fallback servers included, is down.
type AllDown string

const (
	// AllDownRefuse gives new connections to nobody; the default.
	AllDownRefuse AllDown = ""
	// AllDownUseAll treats all servers as healthy: better a doubtful server than none.
	AllDownUseAll AllDown = "UseAll"
)

// Persistence keeps a client on one server.
type Persistence struct {
	// Timeout is how long after its last connection a client is remembered; whole seconds.
	Timeout time.Duration `json:"timeout"`
	// PrefixLength is how many leading bits of its address make a client: 1 to 32 for IPv4, 1
	// to 128 for IPv6.
	PrefixLength int `json:"prefixLength"`
}

// ServerState is what the administrator wants of a server.
type ServerState string

// States of servers.
const (
	// Active: the checks decide.
	Active ServerState = ""
	// Drain: no new connections, established ones go on.
	Drain ServerState = "Drain"
	// Maintenance: no connections at all, and no checks.
	Maintenance ServerState = "Maintenance"
)

// RealServer is a server of a layer 4 service.
type RealServer struct {
	// Name is the server's name in its pool.
	Name string `json:"name"`
	// Address is the server's own address (RIP).
	Address netip.Addr `json:"address"`
	// Port is the server's port with NAT and SNAT; 0: the port the client came to.
	Port uint16 `json:"port,omitempty"`
	// Forwarding is how packets reach this server; empty: as the service says.
	Forwarding Forwarding `json:"forwarding,omitempty"`
	// Weight is its share of new connections; 0: none, established connections go on.
	Weight int `json:"weight"`
	// MaxConnections is the number of connections above which the server gets no new ones; 0:
	// no limit (upper threshold of linux/ip_vs.h). It gets new ones again below MinConnections
	// (lower threshold); 0: below three quarters.
	MaxConnections uint32 `json:"maxConnections,omitempty"`
	MinConnections uint32 `json:"minConnections,omitempty"`
	// Fallback servers are used only while every other server is down.
	Fallback bool `json:"fallback,omitempty"`
	// State is what the administrator wants.
	State ServerState `json:"state,omitempty"`
	// SlowStart is how long a server that comes back takes to its full weight.
	SlowStart time.Duration `json:"slowStart,omitempty"`
	// Target is the key of the Target whose verdict decides over new connections.
	Target string `json:"target,omitempty"`
}
