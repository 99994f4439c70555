package v1alpha1

// Mode is the data path of a virtual service.
//
// +kubebuilder:validation:Enum=L4DR;L7SNAT
type Mode string

const (
	// ModeL4DR is layer 4 direct routing: the kernel rewrites the destination MAC address only,
	// replies go straight from the server to the client.
	ModeL4DR Mode = "L4DR"
	// ModeL7SNAT is the layer 7 proxy: a connection to the client, another to the server.
	ModeL7SNAT Mode = "L7SNAT"
)

// Protocol is the transport protocol of a virtual service.
//
// +kubebuilder:validation:Enum=TCP
type Protocol string

// ProtocolTCP is TCP.
const ProtocolTCP Protocol = "TCP"

// VirtualService is a set of ports on virtual IP addresses, the data path and the pool behind.
//
// +kubebuilder:validation:XValidation:rule="!has(self.layer4) || self.mode == 'L4DR'",message="layer4 may only be set when mode is L4DR: remove layer4, or write mode: L4DR"
// +kubebuilder:validation:XValidation:rule="!has(self.layer7) || self.mode == 'L7SNAT'",message="layer7 may only be set when mode is L7SNAT: remove layer7, or write mode: L7SNAT"
// +kubebuilder:validation:XValidation:rule="self.mode != 'L7SNAT' || has(self.layer7)",message="mode L7SNAT needs layer7.application: write HTTP for web traffic or TCP for anything else"
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
	// mode is the data path: L4DR or L7SNAT.
	// +required
	Mode Mode `json:"mode,omitempty"`
	// protocol is the transport protocol. Absent: TCP.
	// +optional
	Protocol Protocol `json:"protocol,omitempty"`
	// ports are the ports that answer. In mode L4DR several ports are one group: a client with
	// persistence reaches one server on all of them.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=65535
	Ports []int32 `json:"ports,omitempty"`
	// serverPool is the name of one of spec.serverPools.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	ServerPool string `json:"serverPool,omitempty"`
	// layer4 belongs to mode L4DR.
	// +optional
	Layer4 *Layer4 `json:"layer4,omitempty"`
	// layer7 belongs to mode L7SNAT.
	// +optional
	Layer7 *Layer7 `json:"layer7,omitempty"`
}

// Scheduler is an IPVS scheduling method.
//
// +kubebuilder:validation:Enum=RoundRobin;WeightedRoundRobin;LeastConnection;WeightedLeastConnection
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
)

// Layer4 holds the settings of mode L4DR.
type Layer4 struct {
	// scheduler chooses the server of a new connection. Absent: WeightedLeastConnection.
	// +optional
	Scheduler Scheduler `json:"scheduler,omitempty"`
	// persistence keeps a client on one server. Absent: each connection is scheduled anew.
	// +optional
	Persistence *Layer4Persistence `json:"persistence,omitempty"`
}

// Layer4Persistence keeps a client on one server, across all ports of the service.
type Layer4Persistence struct {
	// timeoutSeconds is how long after its last connection a client is remembered. Absent: 300.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2678400
	TimeoutSeconds *int32 `json:"timeoutSeconds,omitempty"`
	// clientPrefixLength is how many leading bits of the address make one client: 32 is each
	// address by itself, 24 a whole /24 network. Absent: 32.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=32
	ClientPrefixLength *int32 `json:"clientPrefixLength,omitempty"`
}
