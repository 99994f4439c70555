package translate

import (
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
)

// Input is everything that decides what a node does.
type Input struct {
	// Node is the node that is translated for. An operator, which does nothing itself, leaves
	// its name and interfaces empty.
	Node Node `json:"node"`
	// Nodes are all nodes of the cluster; empty on a plain host.
	Nodes []NodeInfo `json:"nodes,omitempty"`
	// APIServers are the addresses of the API server, which no virtual IP may take.
	APIServers []netip.Addr `json:"apiServers,omitempty"`
	// Balancers are all balancers, of every namespace, in any order.
	Balancers []*v1alpha1.TruePACSBalancer `json:"balancers,omitempty"`
	// Secrets are the Secrets that were asked for, see SecretRefs. One that is missing here has
	// not been read yet: its services wait.
	Secrets map[types.NamespacedName]Secret `json:"-"`
	// Endpoints are the endpoints of the Services that were asked for, see ServiceRefs. One that
	// is missing here has not been read yet: what needs it waits. An empty list that is not nil
	// is a Service without endpoints, nil one of which nothing is there.
	Endpoints map[types.NamespacedName][]ServiceEndpoint `json:"-"`
	// Previous is Result.Kept of the last translation, by service key.
	Previous map[string]Kept `json:"previous,omitempty"`
	// Marks is the range of firewall marks; zero: DefaultMarks.
	Marks MarkRange `json:"marks,omitzero"`
	// Now is the time at which certificates are looked at; zero: they do not expire.
	Now time.Time `json:"now,omitzero"`
}

// Mode says how directors are chosen.
type Mode string

const (
	// Cluster chooses the nodes that match spec.directors.nodeSelector.
	Cluster Mode = "Cluster"
	// Host chooses the host that spec.directors.peers names; without peers, this host.
	Host Mode = "Host"
)

// Node is the node that is translated for.
type Node struct {
	// Name is the node's name; on a plain host the one it was started with.
	Name string `json:"name"`
	// Mode says how directors are chosen; empty: Cluster.
	Mode Mode `json:"mode,omitempty"`
	// Interfaces are the node's network interfaces.
	Interfaces []Interface `json:"interfaces,omitempty"`
	// Gateways are the next hops of the node's default routes.
	Gateways []netip.Addr `json:"gateways,omitempty"`
}

// Interface is a network interface.
type Interface struct {
	// Name is its name, such as eth0.
	Name string `json:"name"`
	// Addresses are its addresses with the length of the network's prefix. Virtual IPs that
	// Input.Previous speaks of are ignored.
	Addresses []netip.Prefix `json:"addresses,omitempty"`
	// MTU is in bytes.
	MTU int `json:"mtu,omitempty"`
	// Up tells whether it is up.
	Up bool `json:"up,omitempty"`
}

// NodeInfo is what concerns us of any node in the cluster.
type NodeInfo struct {
	// Name is the node's name.
	Name string `json:"name"`
	// Labels are the node's labels.
	Labels map[string]string `json:"labels,omitempty"`
	// Addresses are the node's own addresses.
	Addresses []netip.Addr `json:"addresses,omitempty"`
}

// Secret is a Secret that is referred to, or the knowledge that it is not there.
type Secret struct {
	// Found says that the Secret exists.
	Found bool `json:"found"`
	// CertPEM is the data of key tls.crt, the chain with the leaf first.
	CertPEM []byte `json:"certPEM,omitempty"`
	// KeyPEM is the data of key tls.key.
	KeyPEM []byte `json:"keyPEM,omitempty"`
	// Data is the rest: authorities and revocation lists by key.
	Data map[string][]byte `json:"data,omitempty"`
}

// ServiceEndpoint is an endpoint of a Service, from its EndpointSlices.
type ServiceEndpoint struct {
	// Name is the name of the pod; empty: the endpoint is no pod.
	Name string `json:"name,omitempty"`
	// Address is its address; a pod with two has two endpoints.
	Address netip.Addr `json:"address"`
	// Ports are the ports by name; a Service with one port may leave its name empty.
	Ports map[string]uint16 `json:"ports,omitempty"`
	// Ready: it may have new connections.
	Ready bool `json:"ready,omitempty"`
	// Serving and Terminating: it ends and still serves what it has.
	Serving     bool `json:"serving,omitempty"`
	Terminating bool `json:"terminating,omitempty"`
}

// Kept is the last good state of one service on one node: what it takes to program it again
// although its spec has turned bad. It is plain JSON; with WithoutKeys it may go to a disk.
type Kept struct {
	// Director is the node that was to hold the addresses.
	Director string `json:"director,omitempty"`
	// Addresses are the virtual IPs of the service and where they are held.
	Addresses []HeldAddress `json:"addresses,omitempty"`
	// Ports are the service's ports in the order of its spec.
	Ports []uint16 `json:"ports,omitempty"`
	// PortRanges are the service's ranges of ports.
	PortRanges []model.PortRange `json:"portRanges,omitempty"`
	// Group is the persistence group of the service; empty: none.
	Group string `json:"group,omitempty"`
	// Layer4 is the kernel's side of the service without its servers, for both families: render
	// makes one of each. Persistence.PrefixLength is 0 for the default of the family. nil: not
	// layer 4.
	Layer4 *model.VirtualService `json:"layer4,omitempty"`
	// Layer7 are the listeners of the service, one per address and port.
	Layer7 []model.Listener `json:"layer7,omitempty"`
	// Pools are the pools behind the service, the default one first; of a Service, with the
	// servers that it had.
	Pools []v1alpha1.ServerPool `json:"pools,omitempty"`
	// RealServer is what the node accepts as a real server of the service.
	RealServer []model.LoopbackVIP `json:"realServer,omitempty"`
}

// HeldAddress is a virtual IP and where it is held.
type HeldAddress struct {
	// Name is the name in spec.virtualIPs.
	Name string `json:"name"`
	// Address is the address.
	Address netip.Addr `json:"address"`
	// Interface is the director's interface that holds it.
	Interface string `json:"interface,omitempty"`
}

// WithoutKeys returns a copy without private keys. Given back as Input.Previous, the keys are
// taken from Input.Secrets; a listener whose key is not there either cannot be kept.
func (k Kept) WithoutKeys() Kept {
	k.Layer7 = mapCertificates(k.Layer7, func(c model.Certificate) model.Certificate {
		c.KeyPEM = nil
		return c
	})
	return k
}

// WithKeys returns a copy with the private keys that listeners have for the same certificates.
func (k Kept) WithKeys(listeners []model.Listener) Kept {
	keys := map[string][]byte{}
	mapCertificates(listeners, func(c model.Certificate) model.Certificate {
		keys[string(c.CertPEM)] = c.KeyPEM
		return c
	})
	k.Layer7 = mapCertificates(k.Layer7, func(c model.Certificate) model.Certificate {
		if len(c.KeyPEM) == 0 {
			c.KeyPEM = keys[string(c.CertPEM)]
		}
		return c
	})
	return k
}

// mapCertificates returns copies of listeners with each certificate replaced.
func mapCertificates(listeners []model.Listener, change func(model.Certificate) model.Certificate) []model.Listener {
	if listeners == nil {
		return nil
	}
	out := make([]model.Listener, len(listeners))
	for i, l := range listeners {
		out[i] = l
		if l.TLS == nil {
			continue
		}
		tls := *l.TLS
		tls.Certificates = make([]model.Certificate, len(l.TLS.Certificates))
		for j, c := range l.TLS.Certificates {
			tls.Certificates[j] = change(c)
		}
		out[i].TLS = &tls
	}
	return out
}
