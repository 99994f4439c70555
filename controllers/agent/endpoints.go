package agent

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	"github.com/truepacs/balancer/internal/translate"
)

// endpointsOf are the endpoints of a Service's slices; no slice: nil. Slices of host names, and
// addresses that cannot be read, are left out.
func endpointsOf(slices []*discoveryv1.EndpointSlice) []translate.ServiceEndpoint {
	if len(slices) == 0 {
		return nil
	}
	out := []translate.ServiceEndpoint{}
	for _, slice := range slices {
		ports := portsOf(slice.Ports)
		for i := range slice.Endpoints {
			e := &slice.Endpoints[i]
			for _, text := range e.Addresses {
				if addr, err := netip.ParseAddr(text); err == nil {
					out = append(out, endpoint(e, addr, ports))
				}
			}
		}
	}
	return out
}

// endpoint: conditions that are not known mean ready, not terminating (discovery/v1).
func endpoint(e *discoveryv1.Endpoint, addr netip.Addr, ports map[string]uint16) translate.ServiceEndpoint {
	out := translate.ServiceEndpoint{
		Address: addr, Ports: ports,
		Ready:       ptr.Deref(e.Conditions.Ready, true),
		Terminating: ptr.Deref(e.Conditions.Terminating, false),
	}
	out.Serving = ptr.Deref(e.Conditions.Serving, out.Ready)
	if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
		out.Name = e.TargetRef.Name
	}
	return out
}

// portsOf are the ports with a number, by name.
func portsOf(ports []discoveryv1.EndpointPort) map[string]uint16 {
	out := map[string]uint16{}
	for _, p := range ports {
		if n := ptr.Deref(p.Port, 0); n > 0 && n <= 65535 && ptr.Deref(p.Protocol, corev1.ProtocolTCP) != corev1.ProtocolSCTP {
			out[ptr.Deref(p.Name, "")] = uint16(n)
		}
	}
	return out
}
