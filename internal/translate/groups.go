package translate

import (
	"fmt"
	"maps"
	"slices"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
)

// settleGroups refuses persistence groups whose services differ: one client table has one mode,
// one pool and one set of settings. All services of the group go on as they were.
func (r *run) settleGroups() {
	for _, b := range r.balancers {
		for _, group := range groupsOf(b.services, func(s *service) string { return s.group() }) {
			first := group[0]
			for _, s := range group[1:] {
				if field := differing(first.spec, s.spec); field != "" {
					refuseGroup(group, first, s, field)
					break
				}
			}
		}
	}
}

func refuseGroup(group []*service, a, b *service, field string) {
	for _, s := range group {
		s.refuse(s.refusef(".layer4.persistence.group %s: services %s and %s differ in %s, and services of one group must be the same but for virtualIPs, protocol and ports: write the same %s, or another group",
			s.group(), a.spec.Name, b.spec.Name, field, field))
	}
}

// group is the persistence group that the spec asks for; empty: none.
func (s *service) group() string {
	if s.forwarding() == "" || s.spec.Layer4 == nil || s.spec.Layer4.Persistence == nil {
		return ""
	}
	return s.spec.Layer4.Persistence.Group
}

// groupsOf puts services with one name together, in the order of the names; those without are
// left out.
func groupsOf(services []*service, name func(*service) string) [][]*service {
	byName := map[string][]*service{}
	for _, s := range services {
		if n := name(s); n != "" {
			byName[n] = append(byName[n], s)
		}
	}
	var out [][]*service
	for _, n := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, byName[n])
	}
	return out
}

// differing is the first field in which two services of a group differ; empty: none.
func differing(a, b *v1alpha1.VirtualService) string {
	x, y := a.Layer4, b.Layer4
	for _, f := range []struct {
		name string
		same bool
	}{
		{"mode", a.Mode == b.Mode},
		{"serverPool", a.ServerPool == b.ServerPool},
		{"layer4.scheduler", scheduler(x.Scheduler) == scheduler(y.Scheduler)},
		{"layer4.hashInput", (x.HashInput == v1alpha1.HashSourceAddressAndPort) == (y.HashInput == v1alpha1.HashSourceAddressAndPort)},
		{"layer4.persistence.timeoutSeconds", persistence(x.Persistence).Timeout == persistence(y.Persistence).Timeout},
		{"layer4.persistence.clientPrefixLength", persistence(x.Persistence).PrefixLength == persistence(y.Persistence).PrefixLength},
		{"layer4.whenAllServersDown", (x.WhenAllServersDown == v1alpha1.AllDownUseAllServers) == (y.WhenAllServersDown == v1alpha1.AllDownUseAllServers)},
		{"layer4.drainTimeoutSeconds", or(x.DrainTimeoutSeconds, 0) == or(y.DrainTimeoutSeconds, 0)},
		{"layer4.failback", holdDown(x.Failback) == holdDown(y.Failback)},
	} {
		if !f.same {
			return f.name
		}
	}
	return ""
}

func holdDown(f *v1alpha1.Failback) int32 {
	if f == nil {
		return 0
	}
	return or(f.HoldDownSeconds, 0)
}

// setKeys gives the layer 4 services of this node the keys of their model services: their own,
// or that of their group. A service that is kept with other settings than its group has now
// stands by itself until that is mended.
func (b *balancer) setKeys() {
	for _, s := range b.services {
		s.setKey(s.key)
	}
	programmed := slices.DeleteFunc(slices.Clone(b.services), func(s *service) bool {
		return s.effective == nil || s.effective.Layer4 == nil
	})
	for _, group := range groupsOf(programmed, func(s *service) string { return s.effective.Group }) {
		like := settings(group[0].effective)
		for _, s := range group {
			if settings(s.effective) == like {
				s.setKey(b.key("@" + s.effective.Group))
			}
		}
	}
}

func (s *service) setKey(key string) {
	if s.effective == nil || s.effective.Layer4 == nil {
		return
	}
	layer4 := *s.effective.Layer4
	layer4.Key = key
	s.effective.Layer4 = &layer4
}

// settings is what services of one group have in common.
func settings(k *Kept) string {
	common := *k.Layer4
	common.Key, common.Mark, common.Addresses, common.Ports, common.PortRanges = "", 0, nil, nil, nil
	common.Protocol = model.TCP
	return fmt.Sprint(digest(common), digest(k.Pools))
}
