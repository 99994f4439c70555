package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// TruePACSBalancer describes the virtual IP addresses, server pools and virtual services of one
// PACS installation.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=truepacsbalancers,singular=truepacsbalancer,scope=Namespaced,shortName=tpb,categories=pacs
// +kubebuilder:printcolumn:name="VIP",type=string,JSONPath=`.status.summary.virtualIPs`
// +kubebuilder:printcolumn:name="Servers",type=string,JSONPath=`.status.summary.servers`
// +kubebuilder:printcolumn:name="Active Node",type=string,JSONPath=`.status.summary.activeNodes`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TruePACSBalancer struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the administrator wants.
	// +required
	Spec TruePACSBalancerSpec `json:"spec,omitzero"`
	// status is what the directors report.
	// +optional
	Status TruePACSBalancerStatus `json:"status,omitempty,omitzero"`
}

// TruePACSBalancerList is a list of TruePACSBalancer.
//
// +kubebuilder:object:root=true
type TruePACSBalancerList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the balancers.
	Items []TruePACSBalancer `json:"items"`
}

// TruePACSBalancerSpec is the desired state of a TruePACSBalancer.
//
// +kubebuilder:validation:XValidation:rule="self.virtualServices.all(s, self.serverPools.exists(p, p.name == s.serverPool))",message="virtualServices[].serverPool names a pool that is not in spec.serverPools: write the name of one of spec.serverPools, or add the pool"
// +kubebuilder:validation:XValidation:rule="self.virtualServices.all(s, s.virtualIPs.all(v, self.virtualIPs.exists(i, i.name == v)))",message="virtualServices[].virtualIPs names an address that is not in spec.virtualIPs: write the name (not the address) of one of spec.virtualIPs, or add it"
// +kubebuilder:validation:XValidation:rule="self.virtualServices.all(s, !has(s.layer7) || !has(s.layer7.http) || !has(s.layer7.http.routes) || sets.contains(self.serverPools.map(p, p.name), s.layer7.http.routes.map(r, r.serverPool)))",message="a route's serverPool names a pool that is not in spec.serverPools: write the name of one of spec.serverPools, or add the pool"
// +kubebuilder:validation:XValidation:rule="self.virtualServices.all(s, s.mode != 'L4DR' || self.serverPools.all(p, p.name != s.serverPool || !has(p.port)))",message="mode L4DR cannot translate ports: remove port from the server pool (servers then answer on the port the client came to), or use mode L7SNAT"
// +kubebuilder:validation:XValidation:rule="self.virtualServices.all(s, s.mode != 'L4DR' || self.serverPools.all(p, p.name != s.serverPool || p.servers.all(r, !has(r.port))))",message="mode L4DR cannot translate ports: remove port from the pool's servers (they then answer on the port the client came to), or use mode L7SNAT"
type TruePACSBalancerSpec struct {
	// directors says which hosts may hold the virtual IP addresses. Absent: in a cluster the
	// nodes labelled lb.truepacs.io/director=true; on a plain host, that host.
	// +optional
	Directors *Directors `json:"directors,omitempty"`
	// virtualIPs are the addresses that clients connect to.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	VirtualIPs []VirtualIP `json:"virtualIPs,omitempty"`
	// serverPools are the groups of real servers that virtual services use.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	ServerPools []ServerPool `json:"serverPools,omitempty"`
	// virtualServices are the ports on the virtual IP addresses and the pools behind them.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	VirtualServices []VirtualService `json:"virtualServices,omitempty"`
}

// Directors selects the hosts that may hold the virtual IP addresses. Exactly one host must
// match: two directors as a pair are not there yet.
type Directors struct {
	// nodeSelector selects cluster nodes by label. Absent or empty:
	// lb.truepacs.io/director=true, never all nodes.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// peers are the directors on plain hosts, by the name each was started with
	// (truepacs run --node NAME). Ignored in a cluster.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=1
	Peers []DirectorPeer `json:"peers,omitempty"`
}

// DirectorPeer is one director on a plain host.
type DirectorPeer struct {
	// name is the name the host was started with: truepacs run --node NAME.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
}

// VirtualIP is one address that clients connect to. The active director holds it on an
// interface and announces it by gratuitous ARP.
type VirtualIP struct {
	// name is how virtualServices refer to this address.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// address is the IPv4 address in canonical form, for example 192.0.2.100.
	// +required
	// +kubebuilder:validation:MinLength=7
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:XValidation:rule="isIP(self) && ip(self).family() == 4",message="address must be an IPv4 address without prefix length, for example 192.0.2.100"
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || !ip(self).isLoopback()",message="address must not be a loopback address (127.0.0.0/8): write a free address of the clients' or the servers' network"
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || !ip(self).isLinkLocalUnicast()",message="address must not be link-local (169.254.0.0/16): write a free address of the clients' or the servers' network"
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || ip(self).isGlobalUnicast()",message="address must be a unicast address, not multicast, broadcast or 0.0.0.0: write a free address of the clients' or the servers' network"
	Address string `json:"address,omitempty"`
	// interfaces are tried in order; the first that exists on the director holds the address.
	// Absent: the interface whose subnet holds the address.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=15
	// +kubebuilder:validation:items:Pattern=`^[^/\s:]+$`
	Interfaces []string `json:"interfaces,omitempty"`
}
