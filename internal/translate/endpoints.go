package translate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// maxEndpoints bounds how many endpoints of a Service are servers.
const maxEndpoints = 256

// rankStep is how far the weights of two pods in a row are apart with WeightedFailover: far enough
// that a tenth of each, the first step of a slow start, differs too.
const rankStep = 100

// ServiceRefs returns the Services that a balancer names, each once, by name: what the caller has
// to read. All nodes need those of direct routing and tunnels, for each may be a server; the
// director needs the others too.
func ServiceRefs(obj *v1alpha1.TruePACSBalancer, director bool) []types.NamespacedName {
	var out []types.NamespacedName
	for i := range obj.Spec.VirtualServices {
		s := &obj.Spec.VirtualServices[i]
		if !director && !keepsDestination(forwarding(s.Mode)) {
			continue
		}
		for _, name := range poolNames(s) {
			if p := findPool(obj, name); p != nil && p.ServiceRef != nil {
				out = append(out, types.NamespacedName{Namespace: obj.Namespace, Name: p.ServiceRef.Name})
			}
		}
	}
	slices.SortFunc(out, func(a, b types.NamespacedName) int { return strings.Compare(a.Name, b.Name) })
	return slices.Compact(out)
}

func (s *service) namesServices() bool {
	return slices.ContainsFunc(s.pools(), func(p v1alpha1.ServerPool) bool { return p.ServiceRef != nil })
}

// resolve returns a pool with the endpoints of its Service as servers; other pools as they are.
func (r *run) resolve(s *service, p *v1alpha1.ServerPool) (*v1alpha1.ServerPool, *Refusal) {
	if p.ServiceRef == nil {
		return p, nil
	}
	if refusal := s.refuseServicePorts(p); refusal != nil {
		return nil, refusal
	}
	if r.in.Node.Mode == Host {
		return nil, badField("spec.serverPools[%s].serviceRef: on a plain host there are no Services: write servers with the addresses of the machines", p.Name)
	}
	name := types.NamespacedName{Namespace: s.owner.name.Namespace, Name: p.ServiceRef.Name}
	endpoints, read := r.in.Endpoints[name]
	if !read {
		out := *p
		return &out, r.unread(s, p)
	}
	servers, refusal := s.pods(p, endpoints)
	if refusal != nil {
		return nil, refusal
	}
	if len(servers) == 0 {
		s.advice = append(s.advice, fmt.Sprintf("Service %s of spec.serverPools[%s] has no pod that is ready, so that nobody answers", name.Name, p.Name))
	}
	out := *p
	out.Servers = servers
	return &out, nil
}

// unread: a node that does not act on the service need not have read it.
func (r *run) unread(s *service, p *v1alpha1.ServerPool) *Refusal {
	if !s.owner.active {
		return nil
	}
	refusal := unresolvedf(v1alpha1.ReasonPending, "spec.serverPools[%s].serviceRef names Service %s, whose EndpointSlices have not been read yet", p.Name, p.ServiceRef.Name)
	refusal.Pending = true
	return refusal
}

// refuseServicePorts: pods listen on one port, which direct routing and tunnels do not change.
func (s *service) refuseServicePorts(p *v1alpha1.ServerPool) *Refusal {
	if keepsDestination(s.forwarding()) && (len(s.spec.Ports) != 1 || len(s.spec.PortRanges) > 0) {
		return s.refusef(": modes L4DR and L4Tunnel with a pool that has serviceRef (spec.serverPools[%s]) need exactly one port, that of the pods: write one entry in ports and no portRanges, or use mode L4NAT, L4SNAT or L7SNAT", p.Name)
	}
	return nil
}

// pods makes servers of those endpoints that are ready, or end but still serve.
func (s *service) pods(p *v1alpha1.ServerPool, endpoints []ServiceEndpoint) ([]v1alpha1.Server, *Refusal) {
	where := fmt.Sprintf("spec.serverPools[%s].serviceRef", p.Name)
	if endpoints == nil {
		return nil, unresolvedf(v1alpha1.ReasonServiceNotFound, "%s names Service %s, of which namespace %s has no EndpointSlice: write the name of a Service there, or create it", where, p.ServiceRef.Name, s.owner.name.Namespace)
	}
	var out []v1alpha1.Server
	for _, e := range serving(endpoints) {
		port, ok := e.port(p.ServiceRef.PortName)
		if !ok {
			return nil, unresolvedf(v1alpha1.ReasonServiceNotFound, "%s.portName %q is no port of Service %s: write one of its ports (%s)", where, p.ServiceRef.PortName, p.ServiceRef.Name, e.portText())
		}
		if keepsDestination(s.forwarding()) && int32(port) != s.spec.Ports[0] {
			return nil, s.refusef(".ports: the pods of %s listen on port %d, and modes L4DR and L4Tunnel cannot translate ports: write ports: [%d], let the pods listen on %d, or use mode L4NAT, L4SNAT or L7SNAT", where, port, port, s.spec.Ports[0])
		}
		out = append(out, s.pod(e, port, out))
	}
	if len(out) > maxEndpoints {
		return nil, badField("%s: Service %s has %d endpoints, at most %d can be servers: run fewer pods", where, p.ServiceRef.Name, len(out), maxEndpoints)
	}
	return out, nil
}

// pod makes a server of an endpoint. The second address of a pod goes under name@address.
func (s *service) pod(e ServiceEndpoint, port uint16, before []v1alpha1.Server) v1alpha1.Server {
	server := v1alpha1.Server{Name: e.name(), Address: e.Address.String()}
	if n := len(before); n > 0 && before[n-1].Name == server.Name {
		server.Name += "@" + server.Address
	}
	if !e.Ready {
		server.State = v1alpha1.StateDrain
	}
	if s.spec.Layer4 != nil && s.spec.Layer4.Scheduler == v1alpha1.SchedulerWeightedFailover {
		weight := int32(rankStep * max(1, maxEndpoints-len(before)))
		server.Weight = &weight
	}
	if !keepsDestination(s.forwarding()) {
		number := int32(port)
		server.Port = &number
	}
	return server
}

func (e ServiceEndpoint) name() string { return cmp.Or(e.Name, e.Address.String()) }

// port finds a port by its name; no name: the only one.
func (e ServiceEndpoint) port(name string) (uint16, bool) {
	if name == "" && len(e.Ports) == 1 {
		for _, port := range e.Ports {
			return port, true
		}
	}
	port, ok := e.Ports[name]
	return port, ok
}

func (e ServiceEndpoint) portText() string {
	if len(e.Ports) == 0 {
		return "it has none"
	}
	return some(slices.Sorted(maps.Keys(e.Ports)))
}

// serving are the endpoints that are ready, or end but still serve, each address once, by name. Of
// two endpoints of one address, a pod and its successor say, the one that is ready counts.
func serving(endpoints []ServiceEndpoint) []ServiceEndpoint {
	rank := func(e ServiceEndpoint) int {
		if e.Ready {
			return 0
		}
		return 1
	}
	out := slices.DeleteFunc(slices.Clone(endpoints), func(e ServiceEndpoint) bool { return !e.Ready && !(e.Serving && e.Terminating) })
	slices.SortFunc(out, func(a, b ServiceEndpoint) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(rank(a), rank(b)), strings.Compare(a.name(), b.name()))
	})
	out = slices.CompactFunc(out, func(a, b ServiceEndpoint) bool { return a.Address == b.Address })
	slices.SortFunc(out, func(a, b ServiceEndpoint) int {
		return cmp.Or(strings.Compare(a.name(), b.name()), a.Address.Compare(b.Address))
	})
	return out
}
