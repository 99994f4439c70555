package translate

import (
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/certs"
	"github.com/truepacs/balancer/dataplane/model"
)

// Result is what a node must do and what there is to say about every balancer.
type Result struct {
	// Node is what the node must do.
	Node model.Node `json:"node"`
	// Balancers says how each balancer fared.
	Balancers map[types.NamespacedName]BalancerResult `json:"-"`
	// Kept is the last good state of each service that this node has work for, by service key:
	// the next Input.Previous.
	Kept map[string]Kept `json:"kept,omitempty"`
}

// BalancerResult says how a balancer fared.
type BalancerResult struct {
	// Generation is the metadata.generation that was looked at.
	Generation int64 `json:"generation,omitempty"`
	// Director is the node that is to hold the addresses; empty: not exactly one matches.
	Director string `json:"director,omitempty"`
	// Active says that this node is the director or still holds addresses, so that its reports
	// count.
	Active bool `json:"active,omitempty"`
	// Conditions are Accepted, ResolvedRefs and CertificatesValid.
	Conditions []Condition `json:"conditions"`
	// VirtualIPs are the addresses in the order of the spec.
	VirtualIPs []VirtualIPResult `json:"virtualIPs,omitempty"`
	// Services are the services in the order of the spec.
	Services []ServiceResult `json:"services,omitempty"`
}

// VirtualIPResult is an address and whether this node is to hold it.
type VirtualIPResult struct {
	// Name is the name in spec.virtualIPs.
	Name string `json:"name"`
	// Address is the address that is held, else the one in the spec; invalid: neither.
	Address netip.Addr `json:"address,omitzero"`
	// Interface is where this node holds it; empty: it does not.
	Interface string `json:"interface,omitempty"`
	// Key is the key of the model.VirtualIP.
	Key string `json:"key,omitempty"`
}

// ServiceResult says how a service fared.
type ServiceResult struct {
	// Name is the name in spec.virtualServices.
	Name string `json:"name"`
	// Key is namespace/balancer/name.
	Key string `json:"key"`
	// ModelKey is the key of its model.VirtualServices: Key, or that of its persistence group;
	// empty: it has none.
	ModelKey string `json:"modelKey,omitempty"`
	// Conditions are Accepted, ResolvedRefs and CertificatesValid.
	Conditions []Condition `json:"conditions"`
	// KeptLastGood says that what is programmed is not what the spec says now.
	KeptLastGood bool `json:"keptLastGood,omitempty"`
	// VirtualIPs are the names in spec.virtualIPs that it answers on. Golden files leave out what
	// repeats the spec.
	VirtualIPs []string `json:"-"`
	// Programmed is what this node holds for the service as a director, also if the spec that asks
	// for something else is refused; nil: nothing.
	Programmed *v1alpha1.ProgrammedService `json:"-"`
	// Certificates are what expires of the certificates in use, the first to expire first.
	Certificates []certs.Element `json:"-"`
	// RefusedSecrets are namespace/name of Secrets whose content is refused while what was read before is
	// in use.
	RefusedSecrets []string `json:"refusedSecrets,omitempty"`
	// Listeners are the names of its listeners in the proxy.
	Listeners []string `json:"listeners,omitempty"`
	// Servers are the servers of all its pools.
	Servers []ServerResult `json:"servers,omitempty"`
}

// ServerResult is a server and the key under which its health is found.
type ServerResult struct {
	// Pool is the name in spec.serverPools.
	Pool string `json:"pool"`
	// Name is the server's name.
	Name string `json:"name"`
	// State is Drain or Maintenance; empty: Active.
	State model.ServerState `json:"state,omitempty"`
	// Unweighted says that its weight in the spec is 0: it gets no new connections.
	Unweighted bool `json:"unweighted,omitempty"`
	// Target is the key of the model.Target, empty in state Maintenance: in Node.Targets for layer 4 services, in
	// Node.Proxy.Targets for layer 7 services.
	Target string `json:"target,omitempty"`
}

// Condition is a condition without the times that only its writer knows.
type Condition struct {
	// Type is Accepted, ResolvedRefs or CertificatesValid.
	Type string `json:"type"`
	// Status is True, False or Unknown.
	Status metav1.ConditionStatus `json:"status"`
	// Reason is one of the reasons in api/v1alpha1.
	Reason string `json:"reason"`
	// Message is for the administrator.
	Message string `json:"message"`
}

// Meta returns the condition as the API stores it; lastTransitionTime is left to the writer.
func (c Condition) Meta(generation int64) metav1.Condition {
	return metav1.Condition{
		Type: c.Type, Status: c.Status, ObservedGeneration: generation, Reason: c.Reason, Message: c.Message,
	}
}
