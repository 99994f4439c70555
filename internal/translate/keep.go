package translate

import (
	"slices"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// keepLastGood decides what this node programs for each service: what the spec asks for, or what
// it programmed before if that is refused.
func (r *run) keepLastGood() {
	for _, b := range r.balancers {
		for _, s := range b.all() {
			if len(s.refusals) == 0 {
				r.program(s)
			} else {
				r.keep(s)
			}
		}
	}
}

// program takes what the spec asks for, as far as it concerns this node.
func (r *run) program(s *service) {
	w := s.wanted
	if !s.owner.active {
		w = Kept{Director: w.Director, RealServer: w.RealServer}
		if len(w.RealServer) == 0 {
			return
		}
	}
	s.effective = &w
}

// keep takes what this node programmed before, also if the spec names another director by now:
// that one refuses the same spec and has nothing to fall back on. A service that is refused only
// because its certificate is missing, say, still follows its pools: a server that is taken out
// stays out.
func (r *run) keep(s *service) {
	before, had := r.in.Previous[s.key]
	if !had {
		return
	}
	s.past = &before
	before, ok := r.withKeys(before)
	if !ok {
		s.refuse(unresolvedf(v1alpha1.ReasonSecretNotFound,
			"spec.virtualServices[%s]: the private key of the last accepted certificate is not at hand since the agent started anew", s.spec.Name))
		return
	}
	if before.empty() {
		return
	}
	s.followPools(&before)
	s.followCertificates(&before)
	s.effective, s.kept = &before, true
}

func (k *Kept) empty() bool {
	return len(k.Addresses) == 0 && len(k.RealServer) == 0
}

// followPools replaces the pools of a kept state by those of the spec where they still fit: the
// service speaks what it spoke and the servers listen where they did. A service that changes to
// another mode or application changes its servers' ports with it. Servers that nobody has settled
// a claim to are not taken in.
func (s *service) followPools(k *Kept) {
	if !s.speaksLike(k) {
		return
	}
	before := *k
	defer func() {
		if !before.hasServersOf(*k) {
			k.Pools = before.Pools
		}
	}()
	k.Pools = slices.Clone(k.Pools)
	for i := range k.Pools {
		for j := range s.wanted.Pools {
			if now := &s.wanted.Pools[j]; now.Name == k.Pools[i].Name && samePorts(now, &k.Pools[i]) {
				k.Pools[i] = *now
			}
		}
	}
}

// hasServersOf tells whether a state claims all servers that another one claims.
func (k *Kept) hasServersOf(other Kept) bool {
	mine := ground{}
	for _, e := range demand(*k, false).Servers {
		mine.take(e, 0)
	}
	return !slices.ContainsFunc(demand(other, false).Servers, func(e Endpoint) bool { return len(mine.free(e)) > 0 })
}

func (s *service) speaksLike(k *Kept) bool {
	if k.Layer4 != nil {
		return s.forwarding() == k.Layer4.Forwarding && protocol(s.spec.Protocol) == k.Layer4.Protocol
	}
	return len(k.Layer7) > 0 && s.spec.Mode == v1alpha1.ModeL7SNAT && s.spec.Layer7 != nil &&
		string(k.Layer7[0].Application) == string(s.spec.Layer7.Application)
}

// samePorts tells whether the servers that are in both pools listen on the same ports.
func samePorts(a, b *v1alpha1.ServerPool) bool {
	ports := map[string]uint16{}
	for _, m := range members(a) {
		ports[m.Name] = serverPort(a, &m.Server)
	}
	for _, m := range members(b) {
		if port, both := ports[m.Name]; both && port != serverPort(b, &m.Server) {
			return false
		}
	}
	return true
}
