package translate

import (
	"net/netip"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
)

// Demand is what one service takes: ports on addresses, and ports of servers.
type Demand struct {
	// Director is the node that is to hold the addresses.
	Director string
	// Ports are the addresses and ports that clients come to.
	Ports []Endpoint
	// Source is L7SNAT or L4SNAT for a service that comes to its servers with an address of the
	// director; empty: it does not. What both use is not told apart.
	Source v1alpha1.Mode
	// Servers are the addresses and ports of its servers; only with Source.
	Servers []Endpoint
}

// Claim is what one service asks for, or holds already.
type Claim struct {
	// Service is the service's key.
	Service string
	// Gateway says that it is a gateway's address: several balancers may share one.
	Gateway bool
	// Wanted is what the spec asks for, Standing what is programmed.
	Wanted, Standing Demand
	// Refused says that the service was refused for another reason: it asks for nothing new,
	// and what stands goes on.
	Refused bool
}

// Conflicts settles who gets which address, port and server, and returns why the others do not,
// by service key. Claims come in order, oldest first.
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
	// ports, servers and addresses are who has each in this round, by index; servers by Source.
	ports     ground
	servers   map[v1alpha1.Mode]ground
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
		again = again || len(claim.Standing.Ports) > 0
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
	c.ports, c.addresses = ground{}, map[netip.Addr]int{}
	c.servers = map[v1alpha1.Mode]ground{v1alpha1.ModeL7SNAT: {}, v1alpha1.ModeL4SNAT: {}}
	for i, claim := range c.claims {
		if c.out(i) {
			c.take(i, claim.Standing)
		}
	}
	for _, moves := range []bool{false, true} {
		for i, claim := range c.claims {
			if !c.out(i) && moves == (claim.Standing.Director != claim.Wanted.Director) {
				c.take(i, claim.staying())
			}
		}
	}
}

// staying is what a claim has and still asks for.
func (c Claim) staying() Demand {
	out := c.Standing
	out.Ports = intersect(out.Ports, c.Wanted.Ports)
	out.Servers = nil
	if out.Source == c.Wanted.Source {
		out.Servers = intersect(c.Standing.Servers, c.Wanted.Servers)
	}
	return out
}

// take gives a claim those of the ports and servers that nobody has.
func (c *contest) take(i int, d Demand) {
	for _, e := range d.Ports {
		c.ports.take(e, i)
		if _, has := c.addresses[e.Addr]; !has {
			c.addresses[e.Addr] = i
		}
	}
	for _, e := range d.Servers {
		c.servers[d.Source].take(e, i)
	}
}

// director is the node on which a claim's addresses are once this round is over.
func (c *contest) director(i int) string {
	if c.out(i) {
		return c.claims[i].Standing.Director
	}
	return c.claims[i].Wanted.Director
}

// check says what somebody else has of what a claim asks for.
func (c *contest) check(i int) *Refusal {
	want := c.claims[i].Wanted
	others := func(owner int) bool {
		return owner != i && !(c.claims[i].Gateway && c.claims[owner].Gateway)
	}
	for _, e := range want.Ports {
		if other, has := c.addresses[e.Addr]; has && c.director(other) != want.Director {
			return refusef(v1alpha1.ReasonDirectorConflict,
				"%s is held by %s for %s, this balancer's director is %s: write the same directors in both balancers, or another address",
				e.Addr, c.director(other), c.title(other), want.Director)
		}
		if other, port, has := c.ports.taken(e, others); has {
			return c.portTaken(i, other, e, port)
		}
	}
	return c.checkServers(i)
}

func (c *contest) portTaken(i, other int, e Endpoint, port uint16) *Refusal {
	if c.claims[i].Gateway || c.claims[other].Gateway {
		return refusef(v1alpha1.ReasonPortConflict,
			"%s is used by %s, and an address with role Gateway serves nothing else: write another address", e.Addr, c.title(other))
	}
	kind := ""
	if e.Protocol != model.TCP {
		kind = " of " + string(e.Protocol)
	}
	return refusef(v1alpha1.ReasonPortConflict,
		"%s port %d%s belongs to %s: write another port or virtual IP here, or remove the port there", e.Addr, port, kind, c.title(other))
}

// checkServers: the kernel rewrites what comes to a server's port of an L4SNAT service, also
// what the proxy sends there, so that an L7SNAT service must not use it.
func (c *contest) checkServers(i int) *Refusal {
	want := c.claims[i].Wanted
	for source, taken := range c.servers {
		if want.Source == "" || source == want.Source {
			continue
		}
		for _, e := range want.Servers {
			if other, port, has := taken.taken(e, func(owner int) bool { return owner != i }); has {
				return refusef(v1alpha1.ReasonServerConflict,
					"server %s port %d is used by %s in mode %s, and modes L4SNAT and L7SNAT cannot share a port of a server: write the same mode for both, or another port of the server",
					e.Addr, port, c.title(other), source)
			}
		}
	}
	return nil
}

// title is how messages call the owner of a claim.
func (c *contest) title(i int) string {
	if c.claims[i].Gateway {
		return "gateway " + c.claims[i].Service
	}
	return "service " + c.claims[i].Service
}
