package ipvs

import (
	"slices"

	"github.com/truepacs/balancer/dataplane/model"
)

// sameWishes compares all that desired looks at. It is what a call without news costs, so it stops
// at the first difference and makes nothing.
func sameWishes(a, b []model.VirtualService) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !sameWish(&a[i], &b[i]) {
			return false
		}
	}
	return true
}

func sameWish(a, b *model.VirtualService) bool {
	return a.Key == b.Key && a.Mark == b.Mark && a.Protocol == b.Protocol && a.Forwarding == b.Forwarding &&
		a.Scheduler == b.Scheduler && a.SchedulerFlags == b.SchedulerFlags && a.OnePacket == b.OnePacket &&
		samePersistence(a.Persistence, b.Persistence) && slices.Equal(a.Servers, b.Servers) &&
		slices.Equal(a.Addresses, b.Addresses) && slices.Equal(a.Ports, b.Ports) &&
		slices.Equal(a.PortRanges, b.PortRanges) && slices.EqualFunc(a.Also, b.Also, sameMatch)
}

func samePersistence(a, b *model.Persistence) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func sameMatch(a, b model.Match) bool {
	return a.Protocol == b.Protocol && slices.Equal(a.Addresses, b.Addresses) && slices.Equal(a.Ports, b.Ports) &&
		slices.Equal(a.PortRanges, b.PortRanges)
}

// copyWishes keeps what the caller may write over later: servers and persistence. Addresses and
// ports of a model.Node are never changed in place.
func copyWishes(all []model.VirtualService) []model.VirtualService {
	kept := slices.Clone(all)
	for i := range kept {
		kept[i].Servers = slices.Clone(kept[i].Servers)
		if p := kept[i].Persistence; p != nil {
			copied := *p
			kept[i].Persistence = &copied
		}
	}
	return kept
}
