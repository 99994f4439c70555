package v1alpha1

// Mode is the data path of a virtual service.
//
// +kubebuilder:validation:Enum=L4DR;L4NAT;L4SNAT;L4Tunnel;L7SNAT
type Mode string

const (
	// ModeL4DR is layer 4 direct routing: the kernel rewrites the destination MAC address only,
	// replies go straight from the server to the client.
	ModeL4DR Mode = "L4DR"
	// ModeL4NAT is layer 4 with the destination rewritten: replies must come back through the
	// director, so it is the servers' gateway.
	ModeL4NAT Mode = "L4NAT"
	// ModeL4SNAT is layer 4 with destination and source rewritten: the servers see an address of
	// the director and need no change.
	ModeL4SNAT Mode = "L4SNAT"
	// ModeL4Tunnel is layer 4 with the packet put into another one to the server (IPIP): as
	// L4DR, for servers behind routers.
	ModeL4Tunnel Mode = "L4Tunnel"
	// ModeL7SNAT is the layer 7 proxy: a connection to the client, another to the server.
	ModeL7SNAT Mode = "L7SNAT"
)

// Protocol is the transport protocol of a virtual service.
//
// +kubebuilder:validation:Enum=TCP;UDP
type Protocol string

const (
	// ProtocolTCP is TCP.
	ProtocolTCP Protocol = "TCP"
	// ProtocolUDP is UDP; at layer 4 only.
	ProtocolUDP Protocol = "UDP"
)

// VirtualService is a set of ports on virtual IP addresses, the data path and the pool behind.
//
// +kubebuilder:validation:XValidation:rule="!has(self.layer4) || self.mode != 'L7SNAT'",message="layer4 may only be set when mode is L4DR, L4NAT, L4SNAT or L4Tunnel: remove layer4, or write one of these modes"
// +kubebuilder:validation:XValidation:rule="!has(self.layer7) || self.mode == 'L7SNAT'",message="layer7 may only be set when mode is L7SNAT: remove layer7, or write mode: L7SNAT"
// +kubebuilder:validation:XValidation:rule="self.mode != 'L7SNAT' || has(self.layer7)",message="mode L7SNAT needs layer7.application: write HTTP for web traffic or TCP for anything else"
// +kubebuilder:validation:XValidation:rule="!has(self.protocol) || self.protocol != 'UDP' || self.mode != 'L7SNAT'",message="protocol UDP needs a layer 4 mode: write mode L4DR, L4NAT, L4SNAT or L4Tunnel, or protocol: TCP"
// +kubebuilder:validation:XValidation:rule="has(self.ports) || has(self.portRanges)",message="a virtual service needs ports: write ports, or at layer 4 portRanges"
// +kubebuilder:validation:XValidation:rule="!has(self.portRanges) || self.mode != 'L7SNAT'",message="portRanges need a layer 4 mode: write single ports, or mode L4DR, L4NAT, L4SNAT or L4Tunnel"
// +kubebuilder:validation:XValidation:rule="!has(self.portRanges) || self.portRanges.all(a, self.portRanges.filter(b, b.first <= a.last && a.first <= b.last).size() <= 1)",message="portRanges overlap: write ranges that have no port in common"
// +kubebuilder:validation:XValidation:rule="!has(self.portRanges) || !has(self.ports) || self.ports.all(p, self.portRanges.all(r, p < r.first || p > r.last))",message="a port is in ports and in portRanges: remove it from ports, or write ranges without it"
// +kubebuilder:validation:XValidation:rule="!has(self.layer4) || !has(self.layer4.udpScheduling) || (has(self.protocol) && self.protocol == 'UDP')",message="layer4.udpScheduling needs protocol UDP: remove udpScheduling, or write protocol: UDP"
type VirtualService struct {
	// name is how status, logs and commands call this service.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// virtualIPs are names of spec.virtualIPs.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	VirtualIPs []string `json:"virtualIPs,omitempty"`
	// mode is the data path: L4DR, L4NAT, L4SNAT, L4Tunnel or L7SNAT.
	// +required
	Mode Mode `json:"mode,omitempty"`
	// protocol is the transport protocol: TCP, or UDP at layer 4. Absent: TCP.
	// +optional
	Protocol Protocol `json:"protocol,omitempty"`
	// ports are the ports that answer. At layer 4 several ports are one group: a client with
	// persistence reaches one server on all of them. May be absent where portRanges is there.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=65535
	Ports []int32 `json:"ports,omitempty"`
	// portRanges are further ports that answer, at layer 4 only. Absent: none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	PortRanges []PortRange `json:"portRanges,omitempty"`
	// serverPool is the name of one of spec.serverPools.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	ServerPool string `json:"serverPool,omitempty"`
	// layer4 belongs to the modes L4DR, L4NAT, L4SNAT and L4Tunnel.
	// +optional
	Layer4 *Layer4 `json:"layer4,omitempty"`
	// layer7 belongs to mode L7SNAT.
	// +optional
	Layer7 *Layer7 `json:"layer7,omitempty"`
}

// PortRange is a range of ports, both ends included.
//
// +kubebuilder:validation:XValidation:rule="self.first <= self.last",message="first must not be greater than last: write the lower port as first"
type PortRange struct {
	// first is the first port of the range.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	First int32 `json:"first,omitempty"`
	// last is the last port of the range.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Last int32 `json:"last,omitempty"`
}

// Scheduler is an IPVS scheduling method.
//
// +kubebuilder:validation:Enum=RoundRobin;WeightedRoundRobin;LeastConnection;WeightedLeastConnection;SourceHash;MaglevHash;ShortestExpectedDelay;NeverQueue;WeightedFailover;WeightedOverflow
type Scheduler string

const (
	// SchedulerRoundRobin gives connections to the servers in turn (rr).
	SchedulerRoundRobin Scheduler = "RoundRobin"
	// SchedulerWeightedRoundRobin gives connections in turn by weight (wrr).
	SchedulerWeightedRoundRobin Scheduler = "WeightedRoundRobin"
	// SchedulerLeastConnection prefers the server with the fewest connections (lc).
	SchedulerLeastConnection Scheduler = "LeastConnection"
	// SchedulerWeightedLeastConnection prefers the fewest connections by weight (wlc).
	SchedulerWeightedLeastConnection Scheduler = "WeightedLeastConnection"
	// SchedulerSourceHash chooses by a hash of the client's address (sh).
	SchedulerSourceHash Scheduler = "SourceHash"
	// SchedulerMaglevHash is SourceHash that moves few clients when servers change (mh).
	SchedulerMaglevHash Scheduler = "MaglevHash"
	// SchedulerShortestExpectedDelay prefers (connections + 1) / weight (sed).
	SchedulerShortestExpectedDelay Scheduler = "ShortestExpectedDelay"
	// SchedulerNeverQueue prefers an idle server, else ShortestExpectedDelay (nq).
	SchedulerNeverQueue Scheduler = "NeverQueue"
	// SchedulerWeightedFailover gives everything to the greatest weight (fo); of the pods of a
	// serviceRef to the first by name.
	SchedulerWeightedFailover Scheduler = "WeightedFailover"
	// SchedulerWeightedOverflow fills the greatest weight up to as many connections as its
	// weight, then the next (ovf).
	SchedulerWeightedOverflow Scheduler = "WeightedOverflow"
)

// HashInput is what a hashing scheduler looks at.
//
// +kubebuilder:validation:Enum=SourceAddress;SourceAddressAndPort
type HashInput string

const (
	// HashSourceAddress gives all connections of a client to one server.
	HashSourceAddress HashInput = "SourceAddress"
	// HashSourceAddressAndPort spreads the connections of one client.
	HashSourceAddressAndPort HashInput = "SourceAddressAndPort"
)

// UDPScheduling says what is scheduled of UDP.
//
// +kubebuilder:validation:Enum=Connection;Packet
type UDPScheduling string

const (
	// UDPConnection keeps packets of one client address and port on one server.
	UDPConnection UDPScheduling = "Connection"
	// UDPPacket chooses a server for each packet.
	UDPPacket UDPScheduling = "Packet"
)

// AllServersDown says what happens while every server is down.
//
// +kubebuilder:validation:Enum=Refuse;UseAllServers
type AllServersDown string

const (
	// AllDownRefuse gives new connections to nobody.
	AllDownRefuse AllServersDown = "Refuse"
	// AllDownUseAllServers treats all servers as healthy.
	AllDownUseAllServers AllServersDown = "UseAllServers"
)

// Layer4 holds the settings of the layer 4 modes.
//
// +kubebuilder:validation:XValidation:rule="!has(self.hashInput) || (has(self.scheduler) && self.scheduler in ['SourceHash', 'MaglevHash'])",message="hashInput needs scheduler SourceHash or MaglevHash: remove hashInput, or write one of these schedulers"
// +kubebuilder:validation:XValidation:rule="!has(self.failback) || (has(self.scheduler) && self.scheduler == 'WeightedFailover')",message="failback needs scheduler WeightedFailover: remove failback, or write scheduler: WeightedFailover"
// +kubebuilder:validation:XValidation:rule="!has(self.udpScheduling) || self.udpScheduling != 'Packet' || !has(self.persistence)",message="udpScheduling Packet chooses a server for each packet and cannot keep a client on one: remove persistence, or write udpScheduling: Connection"
type Layer4 struct {
	// scheduler chooses the server of a new connection. SourceHash and MaglevHash pass over
	// servers that are down. Absent: WeightedLeastConnection.
	// +optional
	Scheduler Scheduler `json:"scheduler,omitempty"`
	// hashInput is what SourceHash and MaglevHash look at: SourceAddress or
	// SourceAddressAndPort. Absent: SourceAddress.
	// +optional
	HashInput HashInput `json:"hashInput,omitempty"`
	// persistence keeps a client on one server. Absent: each connection is scheduled anew.
	// +optional
	Persistence *Layer4Persistence `json:"persistence,omitempty"`
	// udpScheduling says what is scheduled of UDP: Connection, packets of one client address and
	// port stay on one server; Packet, each packet by itself. Absent: Connection.
	// +optional
	UDPScheduling UDPScheduling `json:"udpScheduling,omitempty"`
	// whenAllServersDown says what happens while every server, fallback servers included, is
	// down: Refuse, new connections go nowhere; UseAllServers, all count as healthy. Absent:
	// Refuse.
	// +optional
	WhenAllServersDown AllServersDown `json:"whenAllServersDown,omitempty"`
	// drainTimeoutSeconds is how long the connections of a server in state Drain may go on
	// before they are reset. Absent: no limit.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=604800
	DrainTimeoutSeconds *int32 `json:"drainTimeoutSeconds,omitempty"`
	// failback says when scheduler WeightedFailover goes back to a server that has recovered.
	// Absent: at once.
	// +optional
	Failback *Failback `json:"failback,omitempty"`
}

// Failback says when to go back to a server with a greater weight.
type Failback struct {
	// holdDownSeconds is how long a server must have been healthy before it gets new connections
	// again. Absent: 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	HoldDownSeconds *int32 `json:"holdDownSeconds,omitempty"`
}

// Layer4Persistence keeps a client on one server, across all ports of the service.
type Layer4Persistence struct {
	// timeoutSeconds is how long after its last connection a client is remembered. Absent: 300.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2678400
	TimeoutSeconds *int32 `json:"timeoutSeconds,omitempty"`
	// clientPrefixLength is how many leading bits of the address make one client: 32 is each
	// IPv4 address by itself, 24 a whole /24 network. More than 32 is for IPv6 and counts as 32
	// for IPv4. Absent: 32 for IPv4, 128 for IPv6.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=128
	ClientPrefixLength *int32 `json:"clientPrefixLength,omitempty"`
	// group joins virtual services of this balancer: a client reaches one server on all services
	// with one group name, whose mode, serverPool and layer4 must be the same. Absent: the
	// service by itself.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Group string `json:"group,omitempty"`
}
