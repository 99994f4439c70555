package translate

import (
	"net/netip"
	"slices"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// Claim is what one service asks for, or holds already: ports on addresses, and the node that is
// to hold the addresses.
type Claim struct {
	// Service is the service's key.
	Service string
	// Director is the node that is to hold the addresses.
	Director string
	// Wanted are the addresses and ports that the spec asks for.
	Wanted []netip.AddrPort
	// Standing are the addresses and ports that are programmed.
	Standing []netip.AddrPort
	// StandingDirector is the node on which they are programmed.
	StandingDirector string
	// Refused says that the service was refused for another reason: it asks for nothing new,
	// and what stands goes on.
	Refused bool
}

// Conflicts settles who gets which address and port and returns why the others do not, by
// service key. Claims come in order, oldest first.
//
// A claim that is programmed stands until it is released: until its own spec no longer asks for
// it and that spec is accepted. Among claims that are not programmed the older one wins. A
// service gets all that it asks for or goes on with what it has. Operator and agents decide by
// this function alike.
func Conflicts(claims []Claim) map[string]Refusal {
	c := contest{claims: claims, refused: map[int]Refusal{}}
	// A refusal keeps a service's old ports, which may be what an older service was just given:
	// then the contest is held anew. It ends, for every round refuses one more.
	for c.round() {
	}
	out := map[string]Refusal{}
	for i, r := range c.refused {
		out[claims[i].Service] = r
	}
	return out
}

type contest struct {
	claims  []Claim
	refused map[int]Refusal
	// ports and addresses are who has each in this round, by index.
	ports     map[netip.AddrPort]int
	addresses map[netip.Addr]int
}

// round goes once through the claims and tells whether a refusal keeps something in its place.
func (c *contest) round() (again bool) {
	c.placeStanding()
	for i, claim := range c.claims {
		if c.out(i) {
			continue
		}
		refusal := c.check(i)
		if refusal == nil {
			c.take(i, claim.Wanted)
			continue
		}
		c.refused[i] = *refusal
		again = again || len(claim.Standing) > 0
	}
	return again
}

// out tells whether a claim asks for nothing new.
func (c *contest) out(i int) bool {
	_, refused := c.refused[i]
	return refused || c.claims[i].Refused
}

// placeStanding gives every programmed claim that is not to be released its place: first those
// that are refused, then those that stay where they are, then those that move to another node.
func (c *contest) placeStanding() {
	c.ports, c.addresses = map[netip.AddrPort]int{}, map[netip.Addr]int{}
	for i, claim := range c.claims {
		if c.out(i) {
			c.take(i, claim.Standing)
		}
	}
	for _, moves := range []bool{false, true} {
		for i, claim := range c.claims {
			if !c.out(i) && moves == (claim.StandingDirector != claim.Director) {
				c.take(i, intersect(claim.Standing, claim.Wanted))
			}
		}
	}
}

// take gives a claim those of the ports that nobody has.
func (c *contest) take(i int, ports []netip.AddrPort) {
	for _, ap := range ports {
		if _, has := c.ports[ap]; !has {
			c.ports[ap] = i
		}
		if _, has := c.addresses[ap.Addr()]; !has {
			c.addresses[ap.Addr()] = i
		}
	}
}

// director is the node on which a claim's addresses are once this round is over.
func (c *contest) director(i int) string {
	if c.out(i) {
		return c.claims[i].StandingDirector
	}
	return c.claims[i].Director
}

// check says what somebody else has of what a claim asks for.
func (c *contest) check(i int) *Refusal {
	for _, ap := range c.claims[i].Wanted {
		if other, has := c.addresses[ap.Addr()]; has && c.director(other) != c.claims[i].Director {
			return refusef(v1alpha1.ReasonDirectorConflict,
				"%s is held by %s for service %s, this balancer's director is %s: write the same directors in both balancers, or another address",
				ap.Addr(), c.director(other), c.claims[other].Service, c.claims[i].Director)
		}
		if other, has := c.ports[ap]; has && other != i {
			return refusef(v1alpha1.ReasonPortConflict,
				"%s port %d belongs to service %s: write another port or virtual IP here, or remove the port there",
				ap.Addr(), ap.Port(), c.claims[other].Service)
		}
	}
	return nil
}

func intersect(a, b []netip.AddrPort) []netip.AddrPort {
	in := setOf(b)
	return slices.DeleteFunc(slices.Clone(a), func(ap netip.AddrPort) bool { return !in[ap] })
}

func setOf(list []netip.AddrPort) map[netip.AddrPort]bool {
	out := make(map[netip.AddrPort]bool, len(list))
	for _, ap := range list {
		out[ap] = true
	}
	return out
}
