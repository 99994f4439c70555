package translate

import (
	"net/netip"
	"slices"
	"time"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
)

// Defaults of layer 4, as the API documents them.
const (
	defaultPersistence  = 300
	defaultPrefixLength = 32
)

// buildLayer4 makes the kernel's side of a service in mode L4DR. Mark and servers come later.
func (r *run) buildLayer4(s *service) {
	if s.spec.Mode != v1alpha1.ModeL4DR {
		return
	}
	svc := &model.VirtualService{
		Key:        s.key,
		Addresses:  addressesOf(s.wanted),
		Protocol:   model.TCP,
		Ports:      slices.Compact(slices.Sorted(slices.Values(s.wanted.Ports))),
		Forwarding: model.DirectRouting,
		Scheduler:  model.WeightedLeastConnection,
	}
	if l4 := s.spec.Layer4; l4 != nil {
		svc.Scheduler = scheduler(l4.Scheduler)
		svc.Persistence = persistence(l4.Persistence)
	}
	s.wanted.Layer4 = svc
}

// addressesOf are the distinct addresses of a service, ascending.
func addressesOf(k Kept) []netip.Addr {
	out := make([]netip.Addr, 0, len(k.Addresses))
	for _, a := range k.Addresses {
		out = append(out, a.Address)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

func scheduler(s v1alpha1.Scheduler) model.Scheduler {
	switch s {
	case v1alpha1.SchedulerRoundRobin:
		return model.RoundRobin
	case v1alpha1.SchedulerWeightedRoundRobin:
		return model.WeightedRoundRobin
	case v1alpha1.SchedulerLeastConnection:
		return model.LeastConnection
	}
	return model.WeightedLeastConnection
}

func persistence(p *v1alpha1.Layer4Persistence) *model.Persistence {
	if p == nil {
		return nil
	}
	return &model.Persistence{
		Timeout:      time.Duration(or(p.TimeoutSeconds, defaultPersistence)) * time.Second,
		PrefixLength: int(or(p.ClientPrefixLength, defaultPrefixLength)),
	}
}

// or returns a field's value, else its default.
func or(field *int32, absent int32) int32 {
	if field != nil {
		return *field
	}
	return absent
}
