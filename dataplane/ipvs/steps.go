package ipvs

import (
	"cmp"
	"maps"
	"slices"

	"github.com/truepacs/balancer/dataplane/plan"
)

// present is a service that is there with its destinations by Destination.id.
type present struct {
	service Service
	servers map[string]Destination
}

// steps says what to write to get from what is there to what is wanted, in the order in which it
// is to be written: services and servers are added first and removed last, raised weights of a
// service come before lowered ones, so that none that keeps a server is ever without one.
func steps(want map[uint32]target, have map[uint32]present) []Step {
	wanted := make(map[uint32]present, len(want))
	for mark, t := range want {
		wanted[mark] = present{service: t.service, servers: t.servers}
	}
	changes := plan.Diff(wanted, have, func(a, b present) bool { return a.service.sameSettings(b.service) })
	var all []Step
	for _, item := range changes.Add {
		if !want[item.Key].keep {
			all = append(all, Step{Act: AddService, Service: item.Value.service})
		}
	}
	for _, item := range changes.Update {
		if !want[item.Key].keep {
			all = append(all, Step{Act: UpdateService, Service: item.Value.service})
		}
	}
	for _, item := range changes.Remove {
		all = append(all, Step{Act: RemoveService, Service: item.Value.service})
	}
	for _, mark := range slices.Sorted(maps.Keys(want)) {
		if t := want[mark]; !t.keep {
			all = append(all, t.serverSteps(have[mark].servers)...)
		}
	}
	slices.SortStableFunc(all, func(a, b Step) int { return cmp.Compare(a.Act, b.Act) })
	return all
}

func (t target) serverSteps(have map[string]Destination) []Step {
	changes := plan.Diff(t.servers, have, Destination.sameSettings)
	var raised, lowered []Step
	for _, item := range changes.Update {
		step := Step{Act: UpdateDestination, Service: t.service, Destination: item.Value}
		if item.Value.Weight > have[item.Key].Weight {
			raised = append(raised, step)
		} else {
			lowered = append(lowered, step)
		}
	}
	all := slices.Concat(raised, lowered)
	for _, item := range changes.Add {
		all = append(all, Step{Act: AddDestination, Service: t.service, Destination: item.Value})
	}
	for _, item := range changes.Remove {
		all = append(all, Step{Act: RemoveDestination, Service: t.service, Destination: item.Value})
	}
	return all
}
