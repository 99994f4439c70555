package translate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
)

// targets are health targets by key.
type targets map[string]model.Target

// add puts a target in and returns its key. A kept service may have an older idea of a server
// than another one: the later comer then has a key of its own.
func (t targets) add(target model.Target) string {
	if old, has := t[target.Key]; has && digest(old) != digest(target) {
		target.Key += "~" + digest(target)
	}
	t[target.Key] = target
	return target.Key
}

func (t targets) sorted() []model.Target {
	return sortedBy(maps.Values(t), func(t model.Target) string { return t.Key })
}

// pools are layer 7 pools by name, with their health targets.
type pools struct {
	pools   map[string]model.Pool
	targets targets
}

// add puts a pool in and returns its name, which differs if a pool of that name is there with
// other content.
func (p *pools) add(b *balancer, spec *v1alpha1.ServerPool) string {
	pool := model.Pool{Name: b.key(spec.Name)}
	var checks targets = map[string]model.Target{}
	for _, m := range members(spec) {
		pool.Servers = append(pool.Servers, model.PoolServer{
			Name: m.Name, Weight: weightOf(&m), Address: netip.AddrPortFrom(m.addr(), serverPort(spec, &m.Server)),
		})
		target := targetOf(b, spec, &m)
		checks[target.Key] = target
	}
	if old, has := p.pools[pool.Name]; has && digest(old) != digest(pool) {
		pool.Name += "~" + digest(pool)
	}
	p.pools[pool.Name] = pool
	for _, srv := range pool.Servers {
		target := checks[model.TargetKey(b.key(spec.Name), srv.Name)]
		target.Key = model.TargetKey(pool.Name, srv.Name)
		if _, has := p.targets[target.Key]; !has {
			p.targets[target.Key] = target
		}
	}
	return pool.Name
}

// weightOf is a server's weight for the proxy, which gives new requests to nobody of weight 0.
func weightOf(m *member) int {
	if m.state() != model.Active {
		return 0
	}
	return int(or(m.Weight, defaultWeight))
}

func (p *pools) sorted() []model.Pool {
	return sortedBy(maps.Values(p.pools), func(p model.Pool) string { return p.Name })
}

// addLayer7 puts listeners and pools of a service in.
func (a *assembly) addLayer7(s *service, k *Kept, result *ServiceResult) []ServerResult {
	names := map[string]string{}
	var out []ServerResult
	for i := range k.Pools {
		p := &k.Pools[i]
		name := a.pools.add(s.owner, p)
		names[s.owner.key(p.Name)] = name
		for _, m := range members(p) {
			out = append(out, ServerResult{Pool: p.Name, Name: m.Name, State: m.state(), Unweighted: m.unweighted(), Target: model.TargetKey(name, m.Name)})
		}
	}
	for _, l := range k.Layer7 {
		l.Pool = names[l.Pool]
		l.Routes = slices.Clone(l.Routes)
		for i := range l.Routes {
			l.Routes[i].Pool = names[l.Routes[i].Pool]
		}
		a.listeners = append(a.listeners, l)
		result.Listeners = append(result.Listeners, l.Name)
	}
	return out
}

// digest is a short hash of a plain value.
func digest(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		text = fmt.Append(nil, v)
	}
	return fmt.Sprintf("%08x", hash(string(text)))
}

// sortedBy returns values in the order of their keys; nil if there are none.
func sortedBy[V any](values iter.Seq[V], key func(V) string) []V {
	return slices.SortedFunc(values, func(a, b V) int { return cmp.Compare(key(a), key(b)) })
}
