package l7

import (
	"cmp"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/bench/l7/traffic"
	"github.com/truepacs/balancer/e2e/suite"
)

// pairs is how many there are in each round: 20 in five rounds.
const pairs = 4

// TestLatency compares the time that fronts add to what the same requests take without a front, at half of the load that
// HAProxy can take.
func TestLatency(t *testing.T) {
	if !wanted(t, "latency") {
		return
	}
	p, length := plan(t)
	w := newWorld(t)
	for _, way := range []path{loopback, veth} {
		t.Run(string(way), func(t *testing.T) {
			variants := []variant{truepacs, haproxy, nginx}
			fronts := map[string]*front{}
			for _, v := range variants {
				fronts[v.name] = w.front(t, v)
			}
			order := traffic.Order{Protocol: traffic.HTTP, Form: traffic.Kept, Connections: 64, Exchanges: 320, Interval: 20 * time.Millisecond}
			each := 1
			if length > 0 {
				each = pairs
				order = halfLoad(t, fronts[haproxy.name], way, length)
			}
			l := latencies{p50: map[string][]float64{}, p99: map[string][]float64{}}
			p.Round(t, func(n uint64) {
				for i := range uint64(each) {
					l.pair(t, fronts, turns(variants, n+i), order, way)
				}
			})
			l.judge(t, variants, length)
		})
	}
}

// halfLoad is an order for half of what a front can take.
func halfLoad(t *testing.T, f *front, way path, length time.Duration) traffic.Order {
	t.Helper()
	s := scenarios()[0]
	full := s.order
	full.Exchanges = s.exchanges(t, f, way, length)
	sample, _ := f.sample(t, f.aim(full, web, way), way)
	rate := sample.rate(PerExchange) / 2
	half := full
	half.Exchanges = int(rate * length.Seconds())
	half.Interval = time.Duration(float64(full.Connections) / rate * float64(time.Second))
	t.Logf("half of what HAProxy takes are %.0f requests a second: each of %d connections has one every %s", rate, half.Connections, half.Interval.Round(time.Microsecond))
	return half
}

// latencies are quantiles by front, in µs; those without a front have the name direct.
type latencies struct{ p50, p99 map[string][]float64 }

const direct = "direct"

// pair measures every front once, and once without.
func (l *latencies) pair(t *testing.T, fronts map[string]*front, order []variant, o traffic.Order, way path) {
	t.Helper()
	note := func(name string, r traffic.Report) {
		if r.Exchanges != o.Exchanges || r.Bytes != int64(o.Exchanges)*traffic.Small {
			t.Fatalf("%s: %d exchanges and %d bytes of %d exchanges", name, r.Exchanges, r.Bytes, o.Exchanges)
		}
		l.p50[name] = append(l.p50[name], r.P50.Seconds()*1e6)
		l.p99[name] = append(l.p99[name], r.P99.Seconds()*1e6)
	}
	for _, v := range order {
		f := fronts[v.name]
		_, r := f.sample(t, f.aim(o, web, way), way)
		note(v.name, r)
	}
	f := fronts[truepacs.name]
	server := map[path]string{loopback: f.address(7, 1), veth: "10.6.0.2"}[way]
	o.Address = netip.AddrPortFrom(netip.MustParseAddr(server), webPorts[0]).String()
	load := f.world.begin(t, f.from(way), o)
	load.next()
	load.tell()
	note(direct, load.next())
	load.end()
}

// added is what a front adds in each pair, in µs, to the median of what it takes without one. Single quantiles can be below that:
// then it is the 1 µs that is told apart at best.
func added(quantiles map[string][]float64, front string) (values []float64) {
	without := median(quantiles[direct])
	for _, v := range quantiles[front] {
		values = append(values, max(v-without, 1))
	}
	return values
}

func (l *latencies) judge(t *testing.T, variants []variant, length time.Duration) {
	t.Helper()
	if length == 0 {
		suite.Verdict(t, "%s: %d fronts answered at a steady rate, and the servers without a front", t.Name(), len(variants))
		return
	}
	for _, q := range []struct {
		name  string
		of    map[string][]float64
		bound Bound
	}{{"p50", l.p50, Bound{Most: 1}}, {"p99", l.p99, Bound{Most: 1.1}}} {
		text := fmt.Sprintf("without a front %.0f µs", median(q.of[direct]))
		for _, v := range variants {
			text += fmt.Sprintf(", %s adds %.0f", v.name, median(added(q.of, v.name)))
		}
		t.Logf("%s: %s", q.name, text)
		ratio, err := newRatio(added(q.of, truepacs.name), added(q.of, haproxy.name))
		if err = cmp.Or(err, q.bound.judge(ratio.Median)); err != nil {
			t.Errorf("%s that is added, ratio to HAProxy: %v", q.name, err)
		}
		suite.Verdict(t, "%s: added %s is %s of that of HAProxy (%s), median of %d pairs", t.Name(), q.name, ratio, q.bound, len(q.of[direct]))
	}
}
