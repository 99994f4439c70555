package v1alpha1

// ServerPool is a group of real servers that serve the same data.
type ServerPool struct {
	// name is how virtualServices and routes refer to this pool.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// port is the port the servers listen on. Absent: the port the client came to. Mode L4DR
	// cannot translate ports and refuses it.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port *int32 `json:"port,omitempty"`
	// servers are the real servers.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Servers []Server `json:"servers,omitempty"`
	// healthChecks must all pass for a server to get new connections. Absent: one TCP check.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	HealthChecks []HealthCheck `json:"healthChecks,omitempty"`
}

// Server is one real server.
type Server struct {
	// name is how status, logs and commands call this server.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// address is the server's own IPv4 address (RIP), for example 192.0.2.11.
	// +required
	// +kubebuilder:validation:MinLength=7
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:XValidation:rule="isIP(self) && ip(self).family() == 4",message="address must be the server's own IPv4 address without port, for example 192.0.2.11; a port goes into the field port"
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || !ip(self).isLoopback()",message="address must not be a loopback address (127.0.0.0/8): write the address the server has on the network"
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || !ip(self).isLinkLocalUnicast()",message="address must not be link-local (169.254.0.0/16): write the address the server has on the network"
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || ip(self).isGlobalUnicast()",message="address must be a unicast address, not multicast, broadcast or 0.0.0.0: write the address the server has on the network"
	Address string `json:"address,omitempty"`
	// port is this server's own port. Absent: the pool's port, else the port the client came
	// to. Mode L4DR refuses it.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port *int32 `json:"port,omitempty"`
	// weight is the server's share of new connections relative to the others, for the weighted
	// schedulers and algorithms. 0: no new connections. Absent: 100.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	Weight *int32 `json:"weight,omitempty"`
}

// HealthCheckType is the protocol of a health check.
//
// +kubebuilder:validation:Enum=TCP;HTTP;DICOMEcho
type HealthCheckType string

const (
	// HealthCheckTCP passes when a TCP connection is accepted.
	HealthCheckTCP HealthCheckType = "TCP"
	// HealthCheckHTTP passes when a GET answers with an expected status and text.
	HealthCheckHTTP HealthCheckType = "HTTP"
	// HealthCheckDICOMEcho passes when a C-ECHO succeeds, through to its DIMSE status.
	HealthCheckDICOMEcho HealthCheckType = "DICOMEcho"
)

// HealthCheck asks each server of a pool whether it is fit for new connections.
//
// +kubebuilder:validation:XValidation:rule="!has(self.http) || self.type == 'HTTP'",message="http may only be set when type is HTTP: remove http, or write type: HTTP"
// +kubebuilder:validation:XValidation:rule="!has(self.dicomEcho) || self.type == 'DICOMEcho'",message="dicomEcho may only be set when type is DICOMEcho: remove dicomEcho, or write type: DICOMEcho"
// +kubebuilder:validation:XValidation:rule="self.type != 'DICOMEcho' || has(self.dicomEcho)",message="type DICOMEcho needs dicomEcho.calledAETitle: write the AE title of the PACS"
// +kubebuilder:validation:XValidation:rule="!has(self.timeoutSeconds) || !has(self.periodSeconds) || self.timeoutSeconds <= self.periodSeconds",message="timeoutSeconds must not be longer than periodSeconds: write a shorter timeout or a longer period"
type HealthCheck struct {
	// type is the protocol: TCP, HTTP or DICOMEcho.
	// +required
	Type HealthCheckType `json:"type,omitempty"`
	// port is the port to check. Absent: the server's, the pool's, or the first port of the
	// first virtual service that uses the pool.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port *int32 `json:"port,omitempty"`
	// periodSeconds is the time between two checks. Absent: 5.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	PeriodSeconds *int32 `json:"periodSeconds,omitempty"`
	// fastPeriodMilliseconds is the time between two checks after the first failure, until the
	// verdict stands. Absent: 500.
	// +optional
	// +kubebuilder:validation:Minimum=50
	// +kubebuilder:validation:Maximum=60000
	FastPeriodMilliseconds *int32 `json:"fastPeriodMilliseconds,omitempty"`
	// timeoutSeconds is how long one check may take. Absent: 3, or periodSeconds if shorter.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=60
	TimeoutSeconds *int32 `json:"timeoutSeconds,omitempty"`
	// healthyThreshold is how many checks in a row must pass before a server that was down
	// gets connections again. Absent: 2.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	HealthyThreshold *int32 `json:"healthyThreshold,omitempty"`
	// unhealthyThreshold is how many checks in a row must fail before a server gets no new
	// connections. Absent: 3.
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
