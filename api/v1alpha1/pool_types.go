package v1alpha1

// ServerPool is a group of real servers that serve the same data.
//
// +kubebuilder:validation:XValidation:rule="has(self.servers) != has(self.serviceRef)",message="a pool has exactly one of servers and serviceRef: write servers for machines that you name, serviceRef for the pods of a Service"
// +kubebuilder:validation:XValidation:rule="!has(self.serviceRef) || !has(self.port)",message="port may not be set beside serviceRef: remove port, the pods' port is that of serviceRef.portName"
// +kubebuilder:validation:XValidation:rule="!has(self.servers) || !has(self.fallbackServers) || !sets.intersects(self.servers.map(s, s.name), self.fallbackServers.map(f, f.name))",message="a name is both in servers and in fallbackServers: write names that differ over both lists"
type ServerPool struct {
	// name is how virtualServices and routes refer to this pool.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// port is the port the servers listen on. Absent: the port the client came to. Modes L4DR
	// and L4Tunnel cannot translate ports and refuse it.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port *int32 `json:"port,omitempty"`
	// servers are the real servers. Exactly one of servers and serviceRef is there.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Servers []Server `json:"servers,omitempty"`
	// serviceRef takes the servers from a Kubernetes Service: its ready pods are servers, those
	// that end but still serve are drained. Not on plain hosts. In mode L4DR the pods must be on
	// a network of the director (pods on the host network of nodes there). Pods have no weights: all
	// are alike, except that with scheduler WeightedFailover the first by name that is ready gets
	// everything, of a StatefulSet the pod with the lowest number.
	// +optional
	ServiceRef *ServiceReference `json:"serviceRef,omitempty"`
	// fallbackServers get connections only while every other server of the pool is down. Layer 4
	// only. Absent: none.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	FallbackServers []FallbackServer `json:"fallbackServers,omitempty"`
	// slowStartSeconds is how long a server that comes back takes to its full weight. Layer 4
	// only. Absent: 0, the full weight at once.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	SlowStartSeconds *int32 `json:"slowStartSeconds,omitempty"`
	// healthChecks must all pass for a server to get new connections. Absent: one TCP check.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	HealthChecks []HealthCheck `json:"healthChecks,omitempty"`
}

// ServiceReference names a port of a Kubernetes Service in the same namespace.
type ServiceReference struct {
	// name is the name of the Service, for example viewer.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// portName is the name of one of the Service's ports. Absent: the Service has one port only.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	PortName string `json:"portName,omitempty"`
}

// AdminState is what the administrator wants of a server.
//
// +kubebuilder:validation:Enum=Active;Drain;Maintenance
type AdminState string

const (
	// StateActive lets the health checks decide.
	StateActive AdminState = "Active"
	// StateDrain gives the server no new connections; those it has go on.
	StateDrain AdminState = "Drain"
	// StateMaintenance gives the server no connections and no checks.
	StateMaintenance AdminState = "Maintenance"
)

// Server is one real server.
//
// +kubebuilder:validation:XValidation:rule="!has(self.minConnections) || (has(self.maxConnections) && self.minConnections < self.maxConnections)",message="minConnections needs a greater maxConnections: write maxConnections above it, or remove minConnections"
type Server struct {
	// name is how status, logs and commands call this server.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// address is the server's own IPv4 or IPv6 address (RIP), for example 192.0.2.11.
	// +required
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="address must be the server's own IPv4 or IPv6 address without port, prefix length and zone, and IPv4 not mapped into IPv6, for example 192.0.2.11 or 2001:db8::11; a port goes into the field port"
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || ip.isCanonical(self)",message="address must be in canonical form (RFC 5952): write lower-case letters, no leading zeros and :: for the longest run of zeros, for example 2001:db8::11"
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || !ip(self).isLoopback()",message="address must not be a loopback address (127.0.0.0/8 or ::1): write the address the server has on the network"
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || !ip(self).isLinkLocalUnicast()",message="address must not be link-local (169.254.0.0/16 or fe80::/10): write the address the server has on the network"
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || ip(self).isGlobalUnicast()",message="address must be a unicast address, not multicast, broadcast, 0.0.0.0 or :: (unspecified): write the address the server has on the network"
	Address string `json:"address,omitempty"`
	// port is this server's own port. Absent: the pool's port, else the port the client came
	// to. Modes L4DR and L4Tunnel refuse it.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port *int32 `json:"port,omitempty"`
	// weight is the server's share of new connections relative to the others, for the weighted
	// schedulers and algorithms. 0: no new connections. With scheduler WeightedFailover the
	// server with the greatest weight that is healthy gets everything, so weights must differ (pods
	// of a serviceRef need none: the first by name has the greatest); with WeightedOverflow the weight is the number of connections after which the next server
	// gets them. Absent: 100.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	Weight *int32 `json:"weight,omitempty"`
	// state is what you want of the server: Active; Drain, no new connections, those it has go
	// on; Maintenance, no connections and no checks. In mode L7SNAT both of these give it no new
	// requests. Absent: Active.
	// +optional
	State AdminState `json:"state,omitempty"`
	// maxConnections is the number of connections above which the server gets no new ones. Layer
	// 4 only. Absent: no limit.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxConnections *int32 `json:"maxConnections,omitempty"`
	// minConnections is the number of connections below which a server that had reached
	// maxConnections gets new ones again. Absent: three quarters of maxConnections.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MinConnections *int32 `json:"minConnections,omitempty"`
}

// FallbackMode is how packets reach a fallback server. L4SNAT is none of them: sources are translated
// for a virtual service as a whole, so that servers reached by L4NAT would see clients' addresses no
// more, and a server that nearly never serves would keep its port from mode L7SNAT. A standby on
// another network is reached by L4Tunnel.
//
// +kubebuilder:validation:Enum=L4DR;L4NAT;L4Tunnel
type FallbackMode string

// Modes of fallback servers, each as the Mode of the same name.
const (
	FallbackL4DR     FallbackMode = "L4DR"
	FallbackL4NAT    FallbackMode = "L4NAT"
	FallbackL4Tunnel FallbackMode = "L4Tunnel"
)

// FallbackServer is a server for the time when every other server is down.
type FallbackServer struct {
	Server `json:",inline"`
	// mode is how packets reach this server: L4DR, L4NAT or L4Tunnel (for one on another network).
	// L4SNAT would translate the sources of the whole virtual service. Absent: the mode of the
	// virtual service.
	// +optional
	Mode FallbackMode `json:"mode,omitempty"`
}

// HealthCheckType is the protocol of a health check.
//
// +kubebuilder:validation:Enum=TCP;HTTP;DICOMEcho;External;Agent
type HealthCheckType string

const (
	// HealthCheckTCP passes when a TCP connection is accepted.
	HealthCheckTCP HealthCheckType = "TCP"
	// HealthCheckHTTP passes when a GET answers with an expected status and text.
	HealthCheckHTTP HealthCheckType = "HTTP"
	// HealthCheckDICOMEcho passes when a C-ECHO succeeds, through to its DIMSE status.
	HealthCheckDICOMEcho HealthCheckType = "DICOMEcho"
	// HealthCheckExternal passes when a program of the administrator ends with status 0.
	HealthCheckExternal HealthCheckType = "External"
	// HealthCheckAgent asks an agent on the server that speaks HAProxy's agent protocol.
	HealthCheckAgent HealthCheckType = "Agent"
)

// CheckPath is the way that a check takes to a server.
//
// +kubebuilder:validation:Enum=RealServer;VirtualIP
type CheckPath string

const (
	// ViaRealServer checks the server's own address.
	ViaRealServer CheckPath = "RealServer"
	// ViaVirtualIP checks each virtual IP at that server's MAC address, as clients' packets go.
	ViaVirtualIP CheckPath = "VirtualIP"
)

// HealthCheck asks each server of a pool whether it is fit for new connections.
//
// +kubebuilder:validation:XValidation:rule="!has(self.http) || self.type == 'HTTP'",message="http may only be set when type is HTTP: remove http, or write type: HTTP"
// +kubebuilder:validation:XValidation:rule="!has(self.dicomEcho) || self.type == 'DICOMEcho'",message="dicomEcho may only be set when type is DICOMEcho: remove dicomEcho, or write type: DICOMEcho"
// +kubebuilder:validation:XValidation:rule="self.type != 'DICOMEcho' || has(self.dicomEcho)",message="type DICOMEcho needs dicomEcho.calledAETitle: write the AE title of the PACS"
// +kubebuilder:validation:XValidation:rule="!has(self.external) || self.type == 'External'",message="external may only be set when type is External: remove external, or write type: External"
// +kubebuilder:validation:XValidation:rule="self.type != 'External' || has(self.external)",message="type External needs external.name: write the name of a file in the directory with your check programs"
// +kubebuilder:validation:XValidation:rule="!has(self.agent) || self.type == 'Agent'",message="agent may only be set when type is Agent: remove agent, or write type: Agent"
// +kubebuilder:validation:XValidation:rule="self.type != 'Agent' || has(self.agent)",message="type Agent needs agent.port: write the port on which the agent of the server listens"
// +kubebuilder:validation:XValidation:rule="self.type != 'Agent' || !has(self.port)",message="type Agent has its port in agent.port: remove port"
// +kubebuilder:validation:XValidation:rule="!has(self.via) || self.via != 'VirtualIP' || !(self.type in ['External', 'Agent'])",message="via VirtualIP is for the types TCP, HTTP and DICOMEcho: write via: RealServer, or another type"
// +kubebuilder:validation:XValidation:rule="!has(self.timeoutSeconds) || !has(self.periodSeconds) || self.timeoutSeconds <= self.periodSeconds",message="timeoutSeconds must not be longer than periodSeconds: write a shorter timeout or a longer period"
type HealthCheck struct {
	// type is the protocol: TCP, HTTP, DICOMEcho, External or Agent. External and Agent are for
	// layer 4 only.
	// +required
	Type HealthCheckType `json:"type,omitempty"`
	// port is the port to check. Absent: the server's, the pool's, or the first port of the
	// first virtual service that uses the pool.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port *int32 `json:"port,omitempty"`
	// periodSeconds is the time between two checks. Absent: 2, or timeoutSeconds if longer.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	PeriodSeconds *int32 `json:"periodSeconds,omitempty"`
	// fastPeriodMilliseconds is the time between two checks after the first failure, until the
	// verdict stands. A healthy server that keeps a check waiting for longer, and for twice as long
	// as lately, is asked again beside it, as often as unhealthyThreshold needs. Absent: 500.
	// +optional
	// +kubebuilder:validation:Minimum=50
	// +kubebuilder:validation:Maximum=60000
	FastPeriodMilliseconds *int32 `json:"fastPeriodMilliseconds,omitempty"`
	// timeoutSeconds is how long one check may take. Absent: 3, or periodSeconds (2 if absent) if
	// shorter.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=60
	TimeoutSeconds *int32 `json:"timeoutSeconds,omitempty"`
	// healthyThreshold is how many checks in a row must pass before a server that was down
	// gets connections again. Absent: 2; of type Agent 1, its word counts at once.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	HealthyThreshold *int32 `json:"healthyThreshold,omitempty"`
	// unhealthyThreshold is how many checks in a row must fail before a server gets no new
	// connections. Absent: 3; of type Agent 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	UnhealthyThreshold *int32 `json:"unhealthyThreshold,omitempty"`
	// http belongs to type HTTP.
	// +optional
	HTTP *HTTPCheck `json:"http,omitempty"`
	// dicomEcho belongs to type DICOMEcho.
	// +optional
	DICOMEcho *DICOMEchoCheck `json:"dicomEcho,omitempty"`
	// external belongs to type External.
	// +optional
	External *ExternalCheck `json:"external,omitempty"`
	// agent belongs to type Agent.
	// +optional
	Agent *AgentCheck `json:"agent,omitempty"`
	// via is the way to the server: RealServer, its own address; VirtualIP, each virtual IP of
	// the pool's services at that server's MAC address, which proves that it accepts them (mode
	// L4DR only). Each virtual IP is checked at port, which a TCP service of the pool must then have
	// there, or without port at the first that one has. Absent: RealServer.
	// +optional
	Via CheckPath `json:"via,omitempty"`
}

// ExternalCheck is a program of the administrator. It gets the server's address and port and
// passes by ending with status 0 in time.
type ExternalCheck struct {
	// name is the name of a file in the directory with check programs that the administrator
	// mounts, for example check-archive.sh.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9][a-z0-9._-]{0,62}$`
	Name string `json:"name,omitempty"`
}

// AgentCheck asks an agent on the server for its state (HAProxy's agent protocol: one line of
// text over TCP).
type AgentCheck struct {
	// port is the TCP port on which the agent listens.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`
	// send is a line of text that is sent to the agent after connecting; the line end, a line feed,
	// is added to it. Absent: nothing is sent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[ -~]+$`
	Send string `json:"send,omitempty"`
}

// HTTPCheck is a GET request and what its answer must be.
type HTTPCheck struct {
	// path is the path asked for, with query if needed. Absent: /.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^/[!-~]*$`
	Path string `json:"path,omitempty"`
	// host is the Host header sent. Absent: the server's address.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9._:\[\]-]+$`
	Host string `json:"host,omitempty"`
	// expectedStatuses are the statuses that pass. Absent: 200 to 399.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:Minimum=100
	// +kubebuilder:validation:items:Maximum=599
	ExpectedStatuses []int32 `json:"expectedStatuses,omitempty"`
	// expectedBody is text that the first 64 KiB of the body must contain. Absent: any body.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	ExpectedBody string `json:"expectedBody,omitempty"`
}

// DICOMEchoCheck is a C-ECHO (PS3.7 section 9.1.5) with its AE titles.
type DICOMEchoCheck struct {
	// calledAETitle is the AE title of the PACS, 1 to 16 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.matches('^[ -\\\\[\\\\]-~]*$') && self.trim() == self && self != ''",message="calledAETitle must be 1 to 16 printable ASCII characters without backslash, not starting or ending with a space, for example TRUEPACS"
	CalledAETitle string `json:"calledAETitle,omitempty"`
	// callingAETitle is the AE title the check calls itself; the PACS may have to know it.
	// Absent: TPBALANCER.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.matches('^[ -\\\\[\\\\]-~]*$') && self.trim() == self && self != ''",message="callingAETitle must be 1 to 16 printable ASCII characters without backslash, not starting or ending with a space, for example TPBALANCER"
	CallingAETitle string `json:"callingAETitle,omitempty"`
}
