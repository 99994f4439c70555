package conditions

import (
	"fmt"
	"slices"
	"strings"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// summary fills kubectl's columns.
func (s *scope) summary(services []v1alpha1.VirtualServiceStatus) v1alpha1.Summary {
	var addresses, nodes []string
	for _, v := range s.spec.VirtualIPs {
		addresses = append(addresses, v.Address)
		for _, d := range s.holders(v.Name) {
			nodes = append(nodes, d.name)
		}
	}
	slices.Sort(nodes)
	return v1alpha1.Summary{
		VirtualIPs:  strings.Join(addresses, ","),
		Servers:     s.serversColumn(newTally(services)),
		ActiveNodes: strings.Join(slices.Compact(nodes), ","),
	}
}

// serversColumn counts servers by address: a machine in two pools is one server, and healthy only
// when it is healthy in both. A question mark stands for nothing known at all.
func (s *scope) serversColumn(t tally) string {
	healthy, known := map[string]bool{}, false
	for _, key := range t.order {
		state := t.worst[key]
		known = known || state.Health != v1alpha1.HealthUnknown
		address := s.addressOf(state)
		before, seen := healthy[address]
		healthy[address] = state.Health == v1alpha1.HealthHealthy && (before || !seen)
	}
	up := 0
	for _, ok := range healthy {
		if ok {
			up++
		}
	}
	if !known {
		return fmt.Sprintf("?/%d", len(healthy))
	}
	return fmt.Sprintf("%d/%d", up, len(healthy))
}
