package model

import (
	"net/netip"
	"time"
)

// Target is a server to be checked; all of its checks must pass.
type Target struct {
	// Key identifies the server in its pool, see TargetKey.
	Key string `json:"key"`
	// Address is the server's own address.
	Address netip.Addr `json:"address"`
	// Checks are the checks; never empty.
	Checks []Check `json:"checks"`
}

// TargetKey is the key of a server's Target: the pool's key (namespace/balancer/pool) and the
// server's name.
func TargetKey(pool, server string) string { return pool + "/" + server }

// CheckType is the protocol of a health check.
type CheckType string

// Check types.
const (
	CheckTCP       CheckType = "TCP"
	CheckHTTP      CheckType = "HTTP"
	CheckDICOMEcho CheckType = "DICOMEcho"
	// CheckExternal runs a program of the administrator.
	CheckExternal CheckType = "External"
	// CheckAgent asks an agent on the server (HAProxy's agent protocol).
	CheckAgent CheckType = "Agent"
)

// CheckVia is the way that a check takes to its server.
type CheckVia string

const (
	// ViaRealServer checks the server's own address; the default.
	ViaRealServer CheckVia = ""
	// ViaVirtualIP checks a virtual IP at the MAC address of the server, as direct routing does:
	// it proves that the server accepts the address.
	ViaVirtualIP CheckVia = "VirtualIP"
)

// Check is one health check with all defaults filled in.
type Check struct {
	// Type is the protocol.
	Type CheckType `json:"type"`
	// Port is the TCP port, 1 to 65535; of CheckAgent the agent's.
	Port uint16 `json:"port"`
	// Period is the time between two checks.
	Period time.Duration `json:"period"`
	// FastPeriod is the time between two checks while a new verdict is being decided.
	FastPeriod time.Duration `json:"fastPeriod"`
	// Timeout is how long one check may take.
	Timeout time.Duration `json:"timeout"`
	// Rise is how many passes in a row make a server that was down healthy.
	Rise int `json:"rise"`
	// Fall is how many failures in a row make a server unhealthy.
	Fall int `json:"fall"`
	// HTTP belongs to CheckHTTP.
	HTTP *HTTPCheck `json:"http,omitempty"`
	// DICOM belongs to CheckDICOMEcho.
	DICOM *DICOMCheck `json:"dicom,omitempty"`
	// External belongs to CheckExternal.
	External *ExternalCheck `json:"external,omitempty"`
	// Agent belongs to CheckAgent.
	Agent *AgentCheck `json:"agent,omitempty"`
	// Via is the way to the server.
	Via CheckVia `json:"via,omitempty"`
	// VirtualIP belongs to ViaVirtualIP: the address that is connected to at the MAC address of
	// the Target's own address; of the same family as that.
	VirtualIP netip.Addr `json:"virtualIP,omitzero"`
}

// ExternalCheck is a program of the administrator.
type ExternalCheck struct {
	// Name is the name of a file in the directory of check programs: ^[a-z0-9][a-z0-9._-]{0,62}$.
	Name string `json:"name"`
}

// AgentCheck asks an agent on the server at Check.Port.
type AgentCheck struct {
	// Send is printable ASCII with a line feed at the end, at most 256 characters, sent after connecting; empty: nothing.
	Send string `json:"send,omitempty"`
}

// HTTPCheck is a GET request and what its answer must be.
type HTTPCheck struct {
	// Path is the request target, starting with /.
	Path string `json:"path"`
	// Host is the Host header; empty: the server's address and port.
	Host string `json:"host,omitempty"`
	// ExpectedStatuses are the statuses that pass; empty: 200 to 399.
	ExpectedStatuses []int `json:"expectedStatuses,omitempty"`
	// ExpectedBody is text that the first 64 KiB of the body must contain; empty: any.
	ExpectedBody string `json:"expectedBody,omitempty"`
}

// DICOMCheck is a C-ECHO (PS3.7 section 9.1.5).
type DICOMCheck struct {
	// CalledAETitle is the AE title of the PACS, 1 to 16 characters.
	CalledAETitle string `json:"calledAETitle"`
	// CallingAETitle is our own AE title, 1 to 16 characters.
	CallingAETitle string `json:"callingAETitle"`
}
