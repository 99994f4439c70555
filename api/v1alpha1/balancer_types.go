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
// +kubebuilder:validation:XValidation:rule="self.virtualServices.all(s, self.virtualIPs.all(v, !has(v.role) || v.role != 'Gateway' || !(v.name in s.virtualIPs)))",message="virtualServices[].virtualIPs names an address with role Gateway, which serves the servers only: write role: Service there, or another virtual IP here"
// +kubebuilder:validation:XValidation:rule="self.virtualServices.all(s, !(s.mode in ['L4DR', 'L4Tunnel']) || self.serverPools.all(p, p.name != s.serverPool || !has(p.port)))",message="modes L4DR and L4Tunnel cannot translate ports: remove port from the server pool (servers then answer on the port the client came to), or use mode L4NAT, L4SNAT or L7SNAT"
// +kubebuilder:validation:XValidation:rule="self.virtualServices.all(s, !(s.mode in ['L4DR', 'L4Tunnel']) || self.serverPools.all(p, p.name != s.serverPool || !has(p.servers) || p.servers.all(r, !has(r.port))))",message="modes L4DR and L4Tunnel cannot translate ports: remove port from the pool's servers (they then answer on the port the client came to), or use mode L4NAT, L4SNAT or L7SNAT"
// +kubebuilder:validation:XValidation:rule="self.virtualServices.all(s, s.mode == 'L7SNAT' || self.serverPools.all(p, p.name != s.serverPool || !has(p.fallbackServers) || p.fallbackServers.all(r, (!has(r.port) && !has(p.port)) || !((has(r.mode) ? r.mode : s.mode) in ['L4DR', 'L4Tunnel']))))",message="fallbackServers that are reached by L4DR or L4Tunnel cannot translate ports: remove port from them and from the pool, or write mode: L4NAT there"
// +kubebuilder:validation:XValidation:rule="self.virtualServices.all(s, !(s.mode in ['L4DR', 'L4Tunnel']) || self.serverPools.all(p, p.name != s.serverPool || !has(p.serviceRef) || (!has(s.portRanges) && has(s.ports) && s.ports.size() == 1)))",message="modes L4DR and L4Tunnel with a pool that has serviceRef need exactly one port, that of the pods: write one entry in ports and no portRanges, or use mode L4NAT, L4SNAT or L7SNAT"
// +kubebuilder:validation:XValidation:rule="self.virtualServices.all(s, s.mode == 'L7SNAT' || !self.virtualIPs.exists(v, v.name in s.virtualIPs && v.address.contains('.')) || self.serverPools.exists(p, p.name == s.serverPool && (!has(p.servers) || p.servers.exists(r, r.address.contains('.')))))",message="a virtual service in mode L4DR, L4NAT, L4SNAT or L4Tunnel has an IPv4 virtual IP and its pool no IPv4 server: layer 4 cannot change the address family; add an IPv4 server to the pool, remove the virtual IP, or use mode L7SNAT"
// +kubebuilder:validation:XValidation:rule="self.virtualServices.all(s, s.mode == 'L7SNAT' || !self.virtualIPs.exists(v, v.name in s.virtualIPs && v.address.contains(':')) || self.serverPools.exists(p, p.name == s.serverPool && (!has(p.servers) || p.servers.exists(r, r.address.contains(':')))))",message="a virtual service in mode L4DR, L4NAT, L4SNAT or L4Tunnel has an IPv6 virtual IP and its pool no IPv6 server: layer 4 cannot change the address family; add an IPv6 server to the pool, remove the virtual IP, or use mode L7SNAT"
// +kubebuilder:validation:XValidation:rule="self.virtualServices.all(s, !has(s.layer4) || !has(s.layer4.persistence) || !has(s.layer4.persistence.clientPrefixLength) || s.layer4.persistence.clientPrefixLength <= 32 || self.virtualIPs.exists(v, v.name in s.virtualIPs && v.address.contains(':')))",message="layer4.persistence.clientPrefixLength must be 1 to 32 for a service whose virtual IPs are IPv4: write 32 for each address by itself, 24 for whole /24 networks"
// +kubebuilder:validation:XValidation:rule="[self.serverPools.filter(p, has(p.fallbackServers) || has(p.slowStartSeconds) || (has(p.servers) && p.servers.exists(r, has(r.maxConnections))) || (has(p.healthChecks) && p.healthChecks.exists(c, c.type in ['External', 'Agent']))).map(p, p.name)].all(bad, self.virtualServices.all(s, !has(s.layer7) || !(s.serverPool in bad || (has(s.layer7) && has(s.layer7.http) && has(s.layer7.http.routes) && sets.intersects(s.layer7.http.routes.map(r, r.serverPool), bad)))))",message="a pool that mode L7SNAT uses has fallbackServers, slowStartSeconds, maxConnections or a health check of type External or Agent, which layer 4 alone can do for now: remove them, or make a pool of its own for layer 7"
// +kubebuilder:validation:XValidation:rule="[self.serverPools.filter(p, has(p.healthChecks) && p.healthChecks.exists(c, has(c.via) && c.via == 'VirtualIP')).map(p, p.name)].all(bad, self.virtualServices.all(s, s.mode == 'L4DR' || !(s.serverPool in bad || (has(s.layer7) && has(s.layer7.http) && has(s.layer7.http.routes) && sets.intersects(s.layer7.http.routes.map(r, r.serverPool), bad)))))",message="healthChecks[].via VirtualIP works in pools that mode L4DR alone uses: write via: RealServer, or make a pool of its own for the other modes"
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
	// layer4Timeouts say when layer 4 forgets idle connections. A node has one set for all of
	// its balancers: of each value the largest is in force, and the status of a balancer that
	// asks for less names the one that asks for most.
	// +optional
	Layer4Timeouts *Layer4Timeouts `json:"layer4Timeouts,omitempty"`
}

// Layer4Timeouts are idle times after which layer 4 forgets a connection; what comes on it then
// is dropped or answered by a reset.
type Layer4Timeouts struct {
	// tcpSeconds is that of established TCP connections. Absent: 3600, for a study stays open on
	// a screen that long.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2678400
	TCPSeconds *int32 `json:"tcpSeconds,omitempty"`
	// tcpFinSeconds is that of TCP connections that one side has closed. Absent: 120.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2678400
	TCPFinSeconds *int32 `json:"tcpFinSeconds,omitempty"`
	// udpSeconds is that of UDP: packets of one client and port within it go to one server.
	// Absent: 300.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2678400
	UDPSeconds *int32 `json:"udpSeconds,omitempty"`
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

// VirtualIPRole says whom an address serves.
//
// +kubebuilder:validation:Enum=Service;Gateway
type VirtualIPRole string

const (
	// RoleService is an address that clients connect to.
	RoleService VirtualIPRole = "Service"
	// RoleGateway is the servers' default gateway, needed by mode L4NAT: it moves with the
	// director, so that replies always come back through it.
	RoleGateway VirtualIPRole = "Gateway"
)

// VirtualIP is one address that clients connect to, or the servers' gateway. The active director
// holds it on an interface and announces it.
type VirtualIP struct {
	// name is how virtualServices refer to this address.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// address is the IPv4 or IPv6 address in canonical form, for example 192.0.2.100.
	// +required
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="address must be an IPv4 or IPv6 address without prefix length and zone, and IPv4 not mapped into IPv6, for example 192.0.2.100 or 2001:db8::64"
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || ip.isCanonical(self)",message="address must be in canonical form (RFC 5952): write lower-case letters, no leading zeros and :: for the longest run of zeros, for example 2001:db8::64"
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || !ip(self).isLoopback()",message="address must not be a loopback address (127.0.0.0/8 or ::1): write a free address of the clients' or the servers' network"
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || !ip(self).isLinkLocalUnicast()",message="address must not be link-local (169.254.0.0/16 or fe80::/10): write a free address of the clients' or the servers' network"
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || ip(self).isGlobalUnicast()",message="address must be a unicast address, not multicast, broadcast, 0.0.0.0 or :: (unspecified): write a free address of the clients' or the servers' network"
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
	// role says whom the address serves: Service or Gateway. Gateway is the default gateway of
	// the servers, which mode L4NAT needs; no virtual service may use it. Absent: Service.
	// +optional
	Role VirtualIPRole `json:"role,omitempty"`
}
