package l7

import (
	"slices"
	"sync/atomic"

	"github.com/truepacs/balancer/dataplane/proxyproto"
)

// maxOrder bounds the length of a round-robin order. Weights whose sum is larger (after
// division by their common divisor) are scaled down, but none to zero.
const maxOrder = 4096

// pool is the servers of a configured pool. All but order and turn is immutable.
type pool struct {
	name    string
	preface proxyproto.Version
	members []member
	order   atomic.Pointer[[]uint16] // indexes of members that take new requests, in their turns
	turn    atomic.Uint32
}

type member struct {
	server *server
	weight int
}

// refresh recomputes the order after a verdict or a new configuration.
func (p *pool) refresh() {
	weights := make([]int, len(p.members))
	for i, m := range p.members {
		if m.server.healthy.Load() {
			weights[i] = m.weight
		}
	}
	order := smoothOrder(weights)
	p.order.Store(&order)
}

// smoothOrder is one round of smooth weighted round robin: each index comes as often as its
// weight says, spread as evenly as possible.
func smoothOrder(weights []int) []uint16 {
	weights = scaled(weights)
	sum := 0
	for _, w := range weights {
		sum += w
	}
	current := make([]int, len(weights))
	order := make([]uint16, 0, sum)
	for range sum {
		best := -1
		for i, w := range weights {
			current[i] += w
			if w > 0 && (best < 0 || current[i] > current[best]) {
				best = i
			}
		}
		current[best] -= sum
		order = append(order, uint16(best))
	}
	return order
}

// scaled divides weights by their common divisor and bounds their sum.
func scaled(weights []int) []int {
	weights = slices.Clone(weights)
	divisor, sum := 0, 0
	for _, w := range weights {
		divisor = gcd(divisor, w)
		sum += w
	}
	if divisor == 0 {
		return weights
	}
	sum /= divisor
	for i, w := range weights {
		if w /= divisor; w > 0 && sum > maxOrder {
			w = max(1, w*maxOrder/sum)
		}
		weights[i] = w
	}
	return weights
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// backend is a pool as one listener uses it.
type backend struct {
	pool    *pool
	ends    []*endpoint // by index of pool.members
	least   bool
	cookie  *cookie // nil: no persistence
	byToken map[token]*endpoint
}

// pick chooses the server of a new request or connection; nil if none is healthy. tried are
// those that could not be reached a moment ago.
func (b *backend) pick(tried []*endpoint) *endpoint {
	i := b.next(tried)
	if i < 0 {
		return nil
	}
	if b.least {
		i = b.leastLoaded(i, tried)
	}
	return b.ends[i]
}

// next returns the member whose turn it is, -1 without one. A request that still holds the
// snapshot before may find an order that misses a server which is healthy again: then any will do.
func (b *backend) next(tried []*endpoint) int {
	order := *b.pool.order.Load()
	turn := int(b.pool.turn.Add(1))
	for i := range order {
		if at := int(order[uint32(turn+i)%uint32(len(order))]); b.usable(at, tried) {
			return at
		}
	}
	for i := range b.ends {
		if b.usable(i, tried) {
			return i
		}
	}
	return -1
}

func (b *backend) usable(i int, tried []*endpoint) bool {
	return b.pool.members[i].weight > 0 && b.ends[i].healthy.Load() && !slices.Contains(tried, b.ends[i])
}

// leastLoaded returns the member with the fewest requests in progress by weight. best, whose
// turn it is, wins ties.
func (b *backend) leastLoaded(best int, tried []*endpoint) int {
	members := b.pool.members
	load := members[best].server.current.Load()
	for i := range members {
		l := members[i].server.current.Load()
		if l*int64(members[best].weight) < load*int64(members[i].weight) && b.usable(i, tried) {
			best, load = i, l
		}
	}
	return best
}
