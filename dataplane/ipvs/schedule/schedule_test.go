package schedule

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/model"
)

func address(text string) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(text), 0)
}

// three are servers with connections: active and inactive in pairs.
func three(weights [3]int, counts ...uint32) []Server {
	servers := []Server{{Address: address("192.0.2.13")}, {Address: address("192.0.2.12")}, {Address: address("192.0.2.11")}}
	for i := range servers {
		servers[i].Weight, servers[i].LastWeight = weights[i], weights[i]
		if len(counts) > 2*i+1 {
			servers[i].Active, servers[i].Inactive = counts[2*i], counts[2*i+1]
		}
	}
	return servers
}

var client = netip.MustParseAddrPort("198.51.100.7:40000")

func only(i int) Choice { return Choice{Candidates: []Candidate{{Server: i, Share: 1}}} }

func TestChooseByConnections(t *testing.T) {
	full := func(servers []Server, i int) []Server { servers[i].Upper = 2; return servers }
	for name, tc := range map[string]struct {
		scheduler model.Scheduler
		servers   []Server
		want      Choice
	}{
		"lc: the fewest":                        {model.LeastConnection, three([3]int{1, 1, 1}, 2, 0, 1, 0, 3, 0), only(1)},
		"lc: an established one counts 256":     {model.LeastConnection, three([3]int{1, 1, 1}, 1, 0, 0, 256, 0, 255), only(2)},
		"lc: the first of equals":               {model.LeastConnection, three([3]int{1, 1, 1}), only(0)},
		"lc: weight does not count":             {model.LeastConnection, three([3]int{9, 1, 1}, 1, 0, 1, 0, 0, 9), only(2)},
		"lc: none without weight":               {model.LeastConnection, three([3]int{0, 0, 0}), Choice{}},
		"wlc: by weight":                        {model.WeightedLeastConnection, three([3]int{1, 4, 1}, 1, 0, 3, 0, 1, 0), only(1)},
		"wlc: equal shares: the first":          {model.WeightedLeastConnection, three([3]int{2, 4, 6}, 1, 0, 2, 0, 3, 0), only(0)},
		"wlc: weight 0 is passed over":          {model.WeightedLeastConnection, three([3]int{0, 1, 1}, 0, 0, 1, 0, 1, 1), only(1)},
		"wlc: over its threshold":               {model.WeightedLeastConnection, full(three([3]int{1, 1, 1}, 2, 0, 9, 0, 8, 0), 0), only(2)},
		"sed: the new one counts":               {model.ShortestExpectedDelay, three([3]int{1, 3, 1}, 0, 0, 1, 0, 0, 0), only(1)},
		"sed: inactive ones do not":             {model.ShortestExpectedDelay, three([3]int{1, 1, 1}, 1, 0, 0, 99, 0, 0), only(1)},
		"nq: an idle one at once":               {model.NeverQueue, three([3]int{100, 1, 1}, 1, 0, 0, 5, 0, 0), only(1)},
		"nq: else as sed":                       {model.NeverQueue, three([3]int{100, 1, 1}, 9, 0, 1, 0, 1, 0), only(0)},
		"fo: the heaviest":                      {model.WeightedFailover, three([3]int{1, 7, 3}, 0, 0, 99, 0, 0, 0), only(1)},
		"fo: the first of equals":               {model.WeightedFailover, three([3]int{1, 7, 7}), only(1)},
		"fo: over its threshold":                {model.WeightedFailover, full(three([3]int{1, 7, 3}, 0, 0, 2, 0, 0, 0), 1), only(2)},
		"ovf: the heaviest that has room":       {model.WeightedOverflow, three([3]int{2, 7, 3}, 0, 0, 8, 0, 3, 0), only(2)},
		"ovf: as many as it weighs is room":     {model.WeightedOverflow, three([3]int{2, 7, 3}, 0, 0, 7, 0, 0, 0), only(1)},
		"ovf: nobody has room":                  {model.WeightedOverflow, three([3]int{1, 1, 1}, 2, 0, 2, 0, 2, 0), Choice{}},
		"rr: turns":                             {model.RoundRobin, three([3]int{5, 0, 1}), Choice{Candidates: []Candidate{{0, 0.5}, {2, 0.5}}, Doubt: Turn}},
		"wrr: shares":                           {model.WeightedRoundRobin, three([3]int{3, 0, 1}), Choice{Candidates: []Candidate{{0, 0.75}, {2, 0.25}}, Doubt: Turn}},
		"wrr: only one left is certain":         {model.WeightedRoundRobin, three([3]int{0, 0, 7}), only(2)},
		"a scheduler that is not known":         {"lblc", three([3]int{1, 1, 0}), Choice{Candidates: []Candidate{{Server: 0}, {Server: 1}}, Doubt: Unknown}},
		"a scheduler that is not known refuses": {"lblc", three([3]int{0, 0, 0}), Choice{}},
		"no servers":                            {model.SourceHash, nil, Choice{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Choose(&Service{Scheduler: tc.scheduler, Servers: tc.servers}, client)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestThresholds(t *testing.T) {
	for name, tc := range map[string]struct {
		upper, lower, total uint32
		want                load
	}{
		"none":                           {0, 0, 99, free},
		"at the upper one":               {8, 2, 8, over},
		"below the lower one":            {8, 2, 1, free},
		"between":                        {8, 2, 2, perhaps},
		"below three quarters":           {8, 0, 5, free},
		"three quarters and not reached": {8, 0, 6, perhaps},
		"the largest":                    {1<<32 - 1, 0, 1<<32 - 2, perhaps},
	} {
		t.Run(name, func(t *testing.T) {
			s := Server{Upper: tc.upper, Lower: tc.lower, Active: tc.total / 2, Inactive: tc.total - tc.total/2}
			if got := s.load(); got != tc.want {
				t.Errorf("%d connections of %d/%d: %d, want %d", tc.total, tc.lower, tc.upper, got, tc.want)
			}
		})
	}
}

func TestBetweenThresholds(t *testing.T) {
	doubtful := three([3]int{1, 7, 3}, 0, 0, 3, 0, 0, 0)
	doubtful[1].Upper = 4
	for name, tc := range map[string]struct {
		scheduler model.Scheduler
		want      Choice
	}{
		"it matters":      {model.WeightedFailover, Choice{Candidates: []Candidate{{Server: 1}, {Server: 2}}, Doubt: Threshold}},
		"it does not":     {model.LeastConnection, only(0)},
		"beside turns":    {model.WeightedRoundRobin, Choice{Candidates: []Candidate{{Server: 0}, {Server: 1}, {Server: 2}}, Doubt: Turn}},
		"beside the hash": {"", Choice{Candidates: []Candidate{{Server: 0}, {Server: 1}, {Server: 2}}, Doubt: Unknown}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Choose(&Service{Scheduler: tc.scheduler, Servers: doubtful}, client)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	one := []Server{{Address: address("192.0.2.1"), Weight: 1, Active: 3, Upper: 4}}
	want := Choice{Candidates: []Candidate{{Server: 0}}, Doubt: Threshold, MayRefuse: true}
	if diff := cmp.Diff(want, Choose(&Service{Scheduler: model.RoundRobin, Servers: one}, client)); diff != "" {
		t.Errorf("the only server -want +got:\n%s", diff)
	}
}
