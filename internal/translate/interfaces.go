package translate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// chooseInterface returns the director's interface for a virtual IP: the first of the named ones
// that exists, else the one with the smallest network that holds the address. Of several equal
// ones that are up come first, then the first by name.
func chooseInterface(node Node, v *v1alpha1.VirtualIP, addr netip.Addr) (string, *Refusal) {
	if len(v.Interfaces) > 0 {
		for _, name := range v.Interfaces {
			if slices.ContainsFunc(node.Interfaces, func(i Interface) bool { return i.Name == name }) {
				return name, nil
			}
		}
		return "", refusef(v1alpha1.ReasonInterfaceNotFound,
			"spec.virtualIPs[%s].interfaces names %s, and node %s has none of them: write one of its interfaces (%s)",
			v.Name, some(v.Interfaces), node.Name, interfaceText(node))
	}
	if name := facing(node, addr); name != "" {
		return name, nil
	}
	return "", refusef(v1alpha1.ReasonInterfaceNotFound,
		"no interface of node %s has a network that holds spec.virtualIPs[%s].address %s: write spec.virtualIPs[%s].interfaces with one of its interfaces (%s), or an address of one of these networks",
		node.Name, v.Name, addr, v.Name, interfaceText(node))
}

// facing returns the interface with the longest prefix, of more than one address, that holds addr.
func facing(node Node, addr netip.Addr) string {
	best, bestBits, bestUp := "", -1, false
	for _, i := range sortedInterfaces(node) {
		for _, p := range i.Addresses {
			if !p.Contains(addr) || p.IsSingleIP() || p.Addr().IsLoopback() {
				continue
			}
			if (i.Up && !bestUp) || (i.Up == bestUp && p.Bits() > bestBits) {
				best, bestBits, bestUp = i.Name, p.Bits(), i.Up
			}
		}
	}
	return best
}

// owning returns the interface that has addr as its own address.
func owning(node Node, addr netip.Addr) string {
	for _, i := range sortedInterfaces(node) {
		for _, p := range i.Addresses {
			if p.Addr() == addr {
				return i.Name
			}
		}
	}
	return ""
}

func sortedInterfaces(node Node) []Interface {
	return slices.SortedFunc(slices.Values(node.Interfaces), func(a, b Interface) int {
		return strings.Compare(a.Name, b.Name)
	})
}

// interfaceText lists a node's interfaces with their networks.
func interfaceText(node Node) string {
	var out []string
	for _, i := range sortedInterfaces(node) {
		var networks []string
		for _, p := range i.Addresses {
			if !p.IsSingleIP() && !p.Addr().IsLinkLocalUnicast() {
				networks = append(networks, p.Masked().String())
			}
		}
		if i.Name != "lo" {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s", i.Name, strings.Join(networks, " "))))
		}
	}
	if len(out) == 0 {
		return "it has none"
	}
	return some(out)
}
