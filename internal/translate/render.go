package translate

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
)

// render puts together what all services have come to.
func (r *run) render() Result {
	out := Result{Balancers: map[types.NamespacedName]BalancerResult{}, Kept: map[string]Kept{}}
	r.setMarks()
	timeouts := r.settleTimeouts()
	a := newAssembly(r.in.Node.Name)
	results := a.addAll(r.balancers)
	for _, b := range r.balancers {
		result := BalancerResult{
			Generation: b.obj.Generation, Director: b.director, Conditions: b.conditions(),
		}
		for _, s := range b.services {
			result.Services = append(result.Services, results[s])
		}
		for _, s := range b.all() {
			if k := cmp.Or(s.effective, s.past); k != nil {
				out.Kept[s.key] = *k
			}
		}
		result.VirtualIPs = a.addressesOf(b)
		result.Active = b.active || b.stillHolds()
		out.Balancers[b.name] = result
	}
	out.Node = a.node()
	out.Node.Timeouts = timeouts
	return out
}

// stillHolds tells whether this node holds addresses of a balancer that names another director,
// or none, by now.
func (b *balancer) stillHolds() bool {
	return slices.ContainsFunc(b.all(), func(s *service) bool {
		return s.effective != nil && len(s.effective.Addresses) > 0
	})
}

// setMarks gives the layer 4 services of this node their keys and firewall marks. The services of
// a group share both.
func (r *run) setMarks() {
	used := map[string]uint32{}
	for _, k := range r.in.Previous {
		if k.Layer4 != nil {
			used[k.Layer4.Key] = k.Layer4.Mark
		}
	}
	var programmed []*service
	keys := map[string]bool{}
	for _, b := range r.balancers {
		b.setKeys()
		for _, s := range b.services {
			if s.effective != nil && s.effective.Layer4 != nil {
				programmed = append(programmed, s)
				keys[s.effective.Layer4.Key] = true
			}
		}
	}
	marks := marksFor(slices.Collect(maps.Keys(keys)), used, r.in.Marks)
	for _, s := range programmed {
		s.effective.Layer4.Mark = marks[s.effective.Layer4.Key]
	}
}

// assembly collects the parts of a model.Node.
type assembly struct {
	nodeName   string
	addresses  map[netip.Addr]model.VirtualIP
	keys       map[string]netip.Addr
	services   []model.VirtualService
	targets    targets
	realServer []model.LoopbackVIP
	listeners  []model.Listener
	pools      pools
}

func newAssembly(node string) *assembly {
	return &assembly{
		nodeName:  node,
		addresses: map[netip.Addr]model.VirtualIP{},
		keys:      map[string]netip.Addr{},
		targets:   targets{},
		pools:     pools{pools: map[string]model.Pool{}, targets: targets{}},
	}
}

// addAll puts all services in. Those that go on as they were come first, so that they keep the
// names, and with them the health, that they had.
func (a *assembly) addAll(balancers []*balancer) map[*service]ServiceResult {
	for _, b := range balancers {
		a.holdAll(b, true)
		a.holdAll(b, false)
	}
	out := map[*service]ServiceResult{}
	for _, kept := range []bool{true, false} {
		for _, b := range balancers {
			for _, s := range b.services {
				if s.kept == kept {
					out[s] = a.add(s)
				}
			}
		}
	}
	return out
}

// add puts a service in and says how it fared.
func (a *assembly) add(s *service) ServiceResult {
	result := ServiceResult{Name: s.spec.Name, Key: s.key, Conditions: s.conditions(), KeptLastGood: s.kept || len(s.held) > 0, VirtualIPs: s.spec.VirtualIPs, Certificates: s.certificates.elements}
	for _, h := range s.held {
		if !h.Pending {
			result.RefusedSecrets = append(result.RefusedSecrets, h.secret)
		}
	}
	k := s.effective
	if k == nil {
		return result
	}
	result.Programmed = k.programmed(a.nodeName)
	a.realServer = append(a.realServer, k.RealServer...)
	if k.Layer4 != nil {
		result.ModelKey = k.Layer4.Key
		result.Servers = a.addLayer4(s, k)
	}
	if len(k.Layer7) > 0 {
		result.Servers = a.addLayer7(s, k, &result)
	}
	return result
}

// holdAll adds the addresses of those services of a balancer that are kept, or of the others.
func (a *assembly) holdAll(b *balancer, kept bool) {
	for _, s := range b.all() {
		if s.effective == nil || s.kept != kept {
			continue
		}
		for _, held := range s.effective.Addresses {
			a.hold(b, held)
		}
	}
}

// hold adds an address. The first balancer that has it names it.
func (a *assembly) hold(b *balancer, held HeldAddress) {
	if _, has := a.addresses[held.Address]; has {
		return
	}
	key := b.key(held.Name)
	if other, taken := a.keys[key]; taken && other != held.Address {
		key += "@" + held.Address.String()
	}
	a.keys[key] = held.Address
	a.addresses[held.Address] = model.VirtualIP{Key: key, Address: held.Address, Interface: held.Interface}
}

// addressesOf says of each address in a balancer's spec whether it is held.
func (a *assembly) addressesOf(b *balancer) []VirtualIPResult {
	var out []VirtualIPResult
	for _, v := range b.obj.Spec.VirtualIPs {
		addr, _ := netip.ParseAddr(v.Address)
		result := VirtualIPResult{Name: v.Name, Address: addr}
		if held, ok := a.find(b, v.Name, addr); ok {
			result.Address, result.Interface, result.Key = held.Address, held.Interface, held.Key
		}
		out = append(out, result)
	}
	return out
}

// find returns what is held under a name of the spec: its address, else the one kept from before.
func (a *assembly) find(b *balancer, name string, addr netip.Addr) (model.VirtualIP, bool) {
	var kept model.VirtualIP
	for _, s := range b.all() {
		if s.effective == nil {
			continue
		}
		for _, held := range s.effective.Addresses {
			if held.Name != name {
				continue
			}
			kept = a.addresses[held.Address]
			if held.Address == addr {
				return kept, true
			}
		}
	}
	return kept, kept.Key != ""
}

func (a *assembly) node() model.Node {
	n := model.Node{
		Services: mergeGroups(a.services),
		Targets:  a.targets.sorted(),
		Proxy:    model.Proxy{Listeners: a.listeners, Pools: a.pools.sorted(), Targets: a.pools.targets.sorted()},
	}
	n.VirtualIPs = sortedBy(maps.Values(a.addresses), func(v model.VirtualIP) string { return v.Key })
	for _, v := range sortLoopback(a.realServer) {
		if _, held := a.addresses[v.Address]; !held {
			n.RealServer = append(n.RealServer, v)
		}
	}
	slices.SortFunc(n.Proxy.Listeners, func(a, b model.Listener) int { return cmp.Compare(a.Name, b.Name) })
	return n
}

// targetOf is the health target of a server. Its checks go to the first port of the first
// service that uses the pool unless the spec says otherwise.
func targetOf(b *balancer, p *v1alpha1.ServerPool, m *member) model.Target {
	return model.Target{
		Key:     model.TargetKey(b.key(p.Name), m.Name),
		Address: m.addr(),
		Checks:  checksOf(p, m, b.firstPort(p.Name), b.doors(p.Name)),
	}
}

// firstPort is the first port of the first service that is programmed with a pool.
func (b *balancer) firstPort(pool string) uint16 {
	for _, s := range b.with(pool) {
		if ports := s.effective.Ports; len(ports) > 0 {
			return ports[0]
		}
		if ranges := s.effective.PortRanges; len(ranges) > 0 {
			return ranges[0].First
		}
	}
	return 0
}

// doors are the virtual IPs and TCP ports that services by direct routing are programmed with for a
// pool, in the order of the spec.
func (b *balancer) doors(pool string) []Endpoint {
	var out []Endpoint
	for _, s := range b.with(pool) {
		if l4 := s.effective.Layer4; l4 == nil || l4.Forwarding != model.DirectRouting || l4.Protocol != model.TCP {
			continue
		}
		for _, addr := range addressesOf(*s.effective) {
			out = append(out, s.effective.endpoints(addr)...)
		}
	}
	return out
}

// with are the services that are programmed with a pool.
func (b *balancer) with(pool string) []*service {
	return slices.DeleteFunc(slices.Clone(b.services), func(s *service) bool {
		return s.effective == nil || !slices.ContainsFunc(s.effective.Pools, func(p v1alpha1.ServerPool) bool { return p.Name == pool })
	})
}
