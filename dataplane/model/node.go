package model

import (
	"net/netip"
	"time"
)

// Node is everything one host must do. The zero value is a host without work.
type Node struct {
	// VirtualIPs are the addresses that this host holds as a director.
	VirtualIPs []VirtualIP `json:"virtualIPs,omitempty"`
	// Services are the layer 4 virtual services of this director's kernel.
	Services []VirtualService `json:"services,omitempty"`
	// Timeouts are the idle timeouts of IPVS, one set for the host.
	Timeouts IPVSTimeouts `json:"timeouts,omitzero"`
	// Targets are the servers of layer 4 services, to be checked by the agent. The proxy
	// checks its own, see Proxy.Targets.
	Targets []Target `json:"targets,omitempty"`
	// RealServer is set on hosts that are real servers of a direct-routing service.
	RealServer []LoopbackVIP `json:"realServer,omitempty"`
	// Proxy is the configuration of the layer 7 proxy.
	Proxy Proxy `json:"proxy"`
}

// IPVSTimeouts are idle times after which IPVS forgets a connection; 0: the kernel's value stays.
type IPVSTimeouts struct {
	// TCP is that of established connections.
	TCP time.Duration `json:"tcp,omitempty"`
	// TCPFin is that of connections that one side has closed.
	TCPFin time.Duration `json:"tcpFin,omitempty"`
	// UDP is that of UDP.
	UDP time.Duration `json:"udp,omitempty"`
}

// VirtualIP is an address that a director holds on an interface and announces.
type VirtualIP struct {
	// Key identifies the address: namespace/balancer/name. Two balancers that use one address
	// share the first one's entry.
	Key string `json:"key"`
	// Address is the virtual IP address, held with a host prefix (/32 or /128).
	Address netip.Addr `json:"address"`
	// Interface is the name of the interface that holds it.
	Interface string `json:"interface"`
}

// LoopbackVIP is an address that a real server accepts without answering ARP for it.
type LoopbackVIP struct {
	// Address is the virtual IP address; it is put on the loopback interface as /32 or
	// /128.
	Address netip.Addr `json:"address"`
	// Declared are what this server answers on at the address; empty: on every port, as by an
	// agent of a version that did not say.
	Declared []Match `json:"declared,omitempty"`
	// Forwarding is how packets for it arrive: DirectRouting, which is meant when it is empty, or
	// Tunnel.
	Forwarding Forwarding `json:"forwarding,omitempty"`
	// Interface is the interface that faces the director; its arp_ignore and arp_announce are
	// set before the address is added (Documentation/networking/ip-sysctl.rst of the kernel).
	Interface string `json:"interface"`
}

// Empty tells whether the host has no work at all.
func (n *Node) Empty() bool {
	return len(n.VirtualIPs) == 0 && len(n.Services) == 0 && len(n.Targets) == 0 &&
		len(n.RealServer) == 0 && len(n.Proxy.Listeners) == 0
}
