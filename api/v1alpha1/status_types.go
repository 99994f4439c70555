package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// TruePACSBalancerStatus is what the directors report, folded by the operator.
type TruePACSBalancerStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions are Accepted, ResolvedRefs, Programmed, ServersHealthy, Ready, Reconciling,
	// Stalled, NetworkSound and CertificatesValid.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// summary is for kubectl's columns.
	// +optional
	Summary Summary `json:"summary,omitempty,omitzero"`
	// virtualIPs says who holds each address.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	VirtualIPs []VirtualIPStatus `json:"virtualIPs,omitempty"`
	// virtualServices says how each service and its servers are.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	VirtualServices []VirtualServiceStatus `json:"virtualServices,omitempty"`
}

// Summary is for kubectl's columns.
type Summary struct {
	// virtualIPs are the addresses, with commas.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	VirtualIPs string `json:"virtualIPs,omitempty"`
	// servers is healthy/all distinct servers, for example 3/4.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Servers string `json:"servers,omitempty"`
	// activeNodes are the directors that hold an address, with commas.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	ActiveNodes string `json:"activeNodes,omitempty"`
}

// VirtualIPStatus says who holds an address.
type VirtualIPStatus struct {
	// name is the name in spec.virtualIPs.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`
	// address is the address.
	// +optional
	// +kubebuilder:validation:MaxLength=45
	Address string `json:"address,omitempty"`
	// activeNode is the director that holds it; empty: none.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ActiveNode string `json:"activeNode,omitempty"`
	// interface is where it is held.
	// +optional
	// +kubebuilder:validation:MaxLength=15
	Interface string `json:"interface,omitempty"`
}

// VirtualServiceStatus says how a service is.
type VirtualServiceStatus struct {
	// name is the name in spec.virtualServices.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`
	// conditions are Accepted, ResolvedRefs, Programmed and CertificatesValid.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// programmed is what the director has programmed for the service, of whichever generation of the
	// spec: other balancers cannot have it. Absent: nothing.
	// +optional
	Programmed *ProgrammedService `json:"programmed,omitempty"`
	// certificates are the certificates, authorities and revocation lists in use, the first to expire
	// first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Certificates []CertificateStatus `json:"certificates,omitempty"`
	// serverStates says how each server of each pool of the service is.
	// +optional
	// +listType=map
	// +listMapKey=serverPool
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=1024
	ServerStates []ServerState `json:"serverStates,omitempty"`
}

// CertificateKind is what expires.
//
// +kubebuilder:validation:Enum=Certificate;Intermediate;Authority;RevocationList
type CertificateKind string

// CertificateStatus is something in use that expires.
type CertificateStatus struct {
	// secret is the name of the Secret that it came from.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Secret string `json:"secret,omitempty"`
	// kind says what it is: Certificate, Intermediate (of its chain), Authority (of client
	// certificates) or RevocationList.
	// +optional
	Kind CertificateKind `json:"kind,omitempty"`
	// subject is its first name; of a revocation list, its issuer's.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Subject string `json:"subject,omitempty"`
	// notAfter is when it expires; of a revocation list, when the next one is due.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	NotAfter string `json:"notAfter,omitempty"`
}

// ProgrammedService is what a director has programmed for a service.
type ProgrammedService struct {
	// node is the director.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node,omitempty"`
	// mode is the data path.
	// +optional
	Mode Mode `json:"mode,omitempty"`
	// protocol is the transport protocol.
	// +optional
	Protocol Protocol `json:"protocol,omitempty"`
	// addresses are the virtual IP addresses.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=45
	Addresses []string `json:"addresses,omitempty"`
	// ports are the ports that answer there.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Ports []int32 `json:"ports,omitempty"`
	// portRanges are the ranges of ports that answer there.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	PortRanges []PortRange `json:"portRanges,omitempty"`
	// servers are the servers' addresses and ports, in modes L4SNAT and L7SNAT, which cannot share one.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=2048
	Servers []ServerEndpoint `json:"servers,omitempty"`
}

// ServerEndpoint is where a server is reached.
type ServerEndpoint struct {
	// address is the server's own address.
	// +optional
	// +kubebuilder:validation:MaxLength=45
	Address string `json:"address,omitempty"`
	// port is its port. Absent: the ports of the service.
	// +optional
	Port int32 `json:"port,omitempty"`
}

// Health is the verdict of a server's health checks.
//
// +kubebuilder:validation:Enum=Healthy;Unhealthy;Unknown
type Health string

const (
	// HealthHealthy says that all checks pass.
	HealthHealthy Health = "Healthy"
	// HealthUnhealthy says that a check fails; the server gets no new connections.
	HealthUnhealthy Health = "Unhealthy"
	// HealthUnknown says not checked yet, or the director that checks is silent.
	HealthUnknown Health = "Unknown"
)

// States of servers as directors see them.
const (
	// ServerActive says that the checks decide over new connections.
	ServerActive = "Active"
	// ServerDraining says that no new connections come and that some may be left.
	ServerDraining = "Draining"
	// ServerDrained says that none is left.
	ServerDrained = "Drained"
	// ServerMaintenance says that the server gets neither connections nor checks.
	ServerMaintenance = "Maintenance"
)

// Reasons of a healthy server that gets no new connections (serverStates[].reason).
const (
	// ServerReasonAgentDrains says that the agent on the server asks for that.
	ServerReasonAgentDrains = "AgentDrains"
	// ServerReasonAgentMaintains says that the agent has put the server into maintenance.
	ServerReasonAgentMaintains = "AgentMaintains"
	// ServerReasonNoWeight says that its weight in the spec is 0.
	ServerReasonNoWeight = "NoWeight"
)

// ServerState says how a server is.
type ServerState struct {
	// serverPool is the name of the pool.
	// +required
	// +kubebuilder:validation:MaxLength=63
	ServerPool string `json:"serverPool,omitempty"`
	// name is the name of the server; of a Service's pod, the pod's name.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
	// health is the verdict of the checks.
	// +optional
	Health Health `json:"health,omitempty"`
	// state is what has become of the state in the spec: Active; Draining, no new connections, message
	// counts those that are left; Drained, none is left; Maintenance. Layer 7 stays at Draining, and so
	// does a server whose agent asks for no new connections or whose weight is 0.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	State string `json:"state,omitempty"`
	// reason is one word for why the server is not healthy, or else for why it gets no new
	// connections.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
	// message says in sentences what failed and what to do, and of a server that is drained what is
	// left and until when.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}
