package l7

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/bench/l7/traffic"
	"github.com/truepacs/balancer/e2e/suite"
)

// plan is one round of small samples; make bench-l7 makes a full one.
func plan(t *testing.T) (p suite.Plan, length time.Duration) {
	t.Helper()
	p, err := suite.Plan{Name: "L7", Unit: "ROUNDS", Seed: 22, Count: 1}.Read()
	suite.Must(t, err)
	seconds, err := suite.Number("L7_SECONDS", 0)
	suite.Must(t, err)
	return p, time.Duration(seconds) * time.Second
}

// scenario is a kind of traffic whose cost is compared.
type scenario struct {
	name     string
	order    traffic.Order
	listener listener
	unit     Unit
	bound    Bound // of ours to HAProxy's
	// fewest are the exchanges of a small sample.
	fewest int
}

// bulkSize is that of a large series, bulkSmall of a small sample's answers.
const bulkSize, bulkSmall = 64 << 20, 1 << 20

func scenarios() []scenario {
	small := func(p traffic.Protocol, f traffic.Form, connections, streams int) traffic.Order {
		return traffic.Order{Protocol: p, Form: f, Connections: connections, Streams: streams}
	}
	bulk := func(p traffic.Protocol, chunked bool) traffic.Order {
		return traffic.Order{Protocol: p, Form: traffic.Kept, Connections: 4, Size: bulkSize, Chunked: chunked}
	}
	const kept, fresh = traffic.Kept, traffic.Fresh
	return []scenario{
		{"http-kept", small(traffic.HTTP, kept, 64, 0), web, PerExchange, Bound{0.8, 0}, 640},
		{"http-fresh", small(traffic.HTTP, fresh, 64, 0), web, PerExchange, Bound{0.9, 0}, 320},
		{"tcp-kept", small(traffic.TCP, kept, 64, 0), stream, PerExchange, Bound{1, 0}, 640},
		{"https-kept", small(traffic.HTTPS, kept, 64, 0), secure, PerExchange, Bound{1.25, 1}, 640},
		{"h2-1-stream", small(traffic.HTTP2, kept, 64, 1), secure, PerExchange, Bound{1.25, 1}, 640},
		{"h2-32-streams", small(traffic.HTTP2, kept, 16, 32), secure, PerExchange, Bound{1.25, 1}, 2048},
		{"bulk-tcp", bulk(traffic.TCP, false), stream, PerGiB, Bound{0.8, 0.65}, 16},
		{"bulk-http", bulk(traffic.HTTP, false), web, PerGiB, Bound{0.8, 0.65}, 16},
		{"bulk-https", bulk(traffic.HTTPS, false), secure, PerGiB, Bound{1, 0}, 16},
		{"bulk-chunked", bulk(traffic.HTTP, true), web, PerGiB, Bound{}, 16},
		{"handshake-p256", small(traffic.TLS, fresh, 16, 0), secure, PerExchange, Bound{0.7, 0.6}, 64},
		{"handshake-rsa2048", small(traffic.TLS, fresh, 16, 0), secureRSA, PerExchange, Bound{}, 64},
	}
}

// wanted tells whether L7_SCENARIOS names a scenario; it does not have to be there.
func wanted(t *testing.T, name string) bool {
	t.Helper()
	list := os.Getenv("L7_SCENARIOS")
	if list == "" {
		return true
	}
	known := []string{"memory-tcp", "memory-https", "latency", "stalled"}
	for _, s := range scenarios() {
		known = append(known, s.name)
	}
	named := strings.Split(list, ",")
	for _, n := range named {
		if !slices.Contains(known, n) {
			t.Fatalf("L7_SCENARIOS=%s: there is no %q, write some of %s", list, n, strings.Join(known, ","))
		}
	}
	return slices.Contains(named, name)
}

// TestProcessor compares processor time. All fronts do the same number of exchanges, which on HAProxy take about as long as L7_SECONDS
// says.
func TestProcessor(t *testing.T) {
	p, length := plan(t)
	w, fronts := newWorld(t), map[string]*front{}
	for _, v := range []variant{truepacs, haproxy, splicing, nginx} {
		fronts[v.name] = w.front(t, v)
	}
	for _, s := range scenarios() {
		if !wanted(t, s.name) {
			continue
		}
		t.Run(s.name, func(t *testing.T) { s.run(t, fronts, p, length) })
	}
}

// run makes the rounds of a scenario by both paths.
func (s scenario) run(t *testing.T, fronts map[string]*front, p suite.Plan, length time.Duration) {
	variants := []variant{truepacs, haproxy, nginx}
	if s.unit == PerGiB {
		variants = append(variants, splicing)
	}
	if length == 0 {
		s.order.Size = min(s.order.Size, bulkSmall)
	}
	for _, way := range []path{loopback, veth} {
		t.Run(string(way), func(t *testing.T) {
			order := s.order
			order.Exchanges = s.exchanges(t, fronts[haproxy.name], way, length)
			var all Samples
			p.Round(t, func(n uint64) {
				for _, v := range turns(variants, n) {
					f := fronts[v.name]
					sample, _ := f.sample(t, f.aim(order, s.listener, way), way)
					sample.Round = n
					all = append(all, sample)
				}
			})
			s.judge(t, all, variants, p, length)
		})
	}
}

// turns is the order of a round: another one is first each time.
func turns(variants []variant, round uint64) []variant {
	first := int(round-1) % len(variants)
	return slices.Concat(variants[first:], variants[:first])
}

// exchanges is how many take so long on HAProxy.
func (s scenario) exchanges(t *testing.T, f *front, way path, length time.Duration) int {
	t.Helper()
	if length == 0 {
		return s.fewest
	}
	order := f.aim(s.order, s.listener, way)
	order.Exchanges = s.fewest
	for {
		sample, _ := f.sample(t, order, way)
		if sample.Took > 200*time.Millisecond {
			return max(s.fewest, int(sample.rate(PerExchange)*length.Seconds()))
		}
		order.Exchanges *= 4
	}
}

// judge prints the table and compares with the cheaper HAProxy.
func (s scenario) judge(t *testing.T, all Samples, variants []variant, p suite.Plan, length time.Duration) {
	t.Helper()
	suite.Must(t, all.sound(names(variants), int(p.Count)))
	if length == 0 {
		suite.Verdict(t, "%s: %d fronts made %d exchanges each without an error, %d bytes of content arrived", t.Name(), len(variants), all[0].Exchanges, all[0].Bytes)
		return
	}
	var table strings.Builder
	all.Print(&table, s.unit, names(variants))
	t.Logf("%d exchanges on %d connections in each of %d rounds\n%s", all[0].Exchanges, s.order.Connections, p.Count, table.String())
	peer := haproxy.name
	if slices.Contains(variants, splicing) {
		peer = all.cheapest(s.unit, []string{haproxy.name, splicing.name})
	}
	ratio, err := all.ratio(s.unit, truepacs.name, peer)
	if err = cmp.Or(err, s.bound.judge(ratio.Median)); err != nil {
		t.Errorf("processor time, ratio to that of %s: %v", peer, err)
	}
	suite.Verdict(t, "%s: processor time is %s of that of %s (%s), median of %d pairs", t.Name(), ratio, peer, s.bound, p.Count)
}
