package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// TruePACSNode describes one node that runs an agent. Its agent alone writes it; its name is
// the node's name.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=truepacsnodes,singular=truepacsnode,scope=Cluster,shortName=tpn,categories=pacs
// +kubebuilder:printcolumn:name="Role",type=string,JSONPath=`.status.role`
// +kubebuilder:printcolumn:name="IPVS",type=string,JSONPath=`.status.kernel.ipvs`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.agentVersion`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TruePACSNode struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// status is what the agent sees on its node.
	// +optional
	Status TruePACSNodeStatus `json:"status,omitempty,omitzero"`
}

// TruePACSNodeList is a list of TruePACSNode.
//
// +kubebuilder:object:root=true
type TruePACSNodeList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the nodes.
	Items []TruePACSNode `json:"items"`
}

// TruePACSNodeStatus is what the agent sees on its node.
type TruePACSNodeStatus struct {
	// role says what the agent does there.
	// +optional
	Role NodeRole `json:"role,omitempty"`
	// agentVersion is the version of the agent.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	AgentVersion string `json:"agentVersion,omitempty"`
	// proxyVersion is the version of the proxy that is connected; empty: none.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	ProxyVersion string `json:"proxyVersion,omitempty"`
	// kernel describes the node's kernel.
	// +optional
	Kernel KernelStatus `json:"kernel,omitempty,omitzero"`
	// interfaces are the node's network interfaces and their own addresses.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Interfaces []InterfaceStatus `json:"interfaces,omitempty"`
}

// NodeRole says what an agent does on its node.
//
// +kubebuilder:validation:Enum=Director;RealServer;Idle;Released
type NodeRole string

const (
	// NodeRoleDirector holds virtual IP addresses and spreads connections.
	NodeRoleDirector NodeRole = "Director"
	// NodeRoleRealServer accepts virtual IP addresses on loopback for direct routing.
	NodeRoleRealServer NodeRole = "RealServer"
	// NodeRoleIdle has no work.
	NodeRoleIdle NodeRole = "Idle"
	// NodeRoleReleased holds nothing any more, because an uninstall asked for it.
	NodeRoleReleased NodeRole = "Released"
)

// KernelStatus describes a kernel.
type KernelStatus struct {
	// release is the kernel's release, as uname -r prints it.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Release string `json:"release,omitempty"`
	// ipvs is Available or the reason why not.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	IPVS string `json:"ipvs,omitempty"`
	// nftables is Available or the reason why not.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	NFTables string `json:"nftables,omitempty"`
}

// InterfaceStatus describes a network interface.
type InterfaceStatus struct {
	// name is the interface's name.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`
	// addresses are the interface's own addresses with prefix length, without virtual ones.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=64
	Addresses []string `json:"addresses,omitempty"`
	// mtu is the interface's MTU in bytes.
	// +optional
	MTU int32 `json:"mtu,omitempty"`
}
