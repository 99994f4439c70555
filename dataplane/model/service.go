package model

import (
	"net/netip"
	"time"
)

// Protocol is a transport protocol.
type Protocol string

// TCP is the transport protocol of RFC 9293.
const TCP Protocol = "TCP"

// Scheduler is the kernel's name of an IPVS scheduling method (net/netfilter/ipvs).
type Scheduler string

// Schedulers that this version uses.
const (
	RoundRobin              Scheduler = "rr"
	WeightedRoundRobin      Scheduler = "wrr"
	LeastConnection         Scheduler = "lc"
	WeightedLeastConnection Scheduler = "wlc"
)

// Forwarding is how IPVS sends a packet to a real server.
type Forwarding string

// DirectRouting rewrites the destination MAC address only (IP_VS_CONN_F_DROUTE).
const DirectRouting Forwarding = "DirectRouting"

// VirtualService is one layer 4 virtual service: every packet to one of its addresses and ports
// gets its firewall mark in nftables, and IPVS schedules by that mark. Several ports and
// addresses are so one group with common persistence.
type VirtualService struct {
	// Key identifies the service: namespace/balancer/service.
	Key string `json:"key"`
	// Mark is the firewall mark; not zero; unique on the host; a stable function of Key.
	Mark uint32 `json:"mark"`
	// Addresses are the virtual IP addresses, all of one family, ascending.
	Addresses []netip.Addr `json:"addresses"`
	// Protocol is the transport protocol.
	Protocol Protocol `json:"protocol"`
	// Ports are the ports, ascending.
	Ports []uint16 `json:"ports"`
	// Forwarding is how packets reach the servers.
	Forwarding Forwarding `json:"forwarding"`
	// Scheduler chooses the server of a new connection.
	Scheduler Scheduler `json:"scheduler"`
	// Persistence keeps a client on one server; nil: none.
	Persistence *Persistence `json:"persistence,omitempty"`
	// Servers are the real servers.
	Servers []RealServer `json:"servers"`
}

// Persistence keeps a client on one server.
type Persistence struct {
	// Timeout is how long after its last connection a client is remembered; whole seconds.
	Timeout time.Duration `json:"timeout"`
	// PrefixLength is how many leading bits of its address make a client.
	PrefixLength int `json:"prefixLength"`
}

// RealServer is a server of a layer 4 service.
type RealServer struct {
	// Name is the server's name in its pool.
	Name string `json:"name"`
	// Address is the server's own address (RIP).
	Address netip.Addr `json:"address"`
	// Weight is its share of new connections; 0: none, established connections go on.
	Weight int `json:"weight"`
	// Target is the key of the Target whose verdict decides over new connections.
	Target string `json:"target,omitempty"`
}
