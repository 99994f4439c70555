package inspect_test

import (
	"errors"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/truepacs/balancer/dataplane/agent"
	"github.com/truepacs/balancer/dataplane/explain"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/internal/inspect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestExplain(t *testing.T) {
	d := newDirector(t)
	d.connect(4)
	client := d.serve(t)
	for name, tc := range map[string]struct {
		client, to, server string
		by                 explain.Decider
		outcome            explain.Outcome
	}{
		"by the scheduler":     {"192.0.2.50", "192.0.2.100:104", "pacs-a", explain.ByScheduler, explain.OutcomeServer},
		"by its network":       {"203.0.113.77", "192.0.2.100:104", "pacs-b", explain.ByPersistence, explain.OutcomeServer},
		"by its connection":    {"198.51.0.1:40001", "192.0.2.100:104", "pacs-b", explain.ByConnection, explain.OutcomeServer},
		"a port of nobody":     {"192.0.2.50", "192.0.2.100:105", "", "", explain.OutcomeDropped},
		"an address of nobody": {"192.0.2.50", "192.0.2.101:104", "", "", explain.OutcomeElsewhere},
	} {
		t.Run(name, func(t *testing.T) {
			q, err := explain.Ask(tc.client, tc.to, "", "")
			if err != nil {
				t.Fatal(err)
			}
			a, err := client.Explain(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			server := ""
			if a.Server != nil {
				server = a.Server.Name
			}
			if a.Outcome != tc.outcome || server != tc.server || a.DecidedBy != tc.by || a.Question != q {
				t.Errorf("%+v", a)
			}
		})
	}
	d.kernel.Missing = true
	q, _ := explain.Ask("192.0.2.50", "192.0.2.100:104", "", "")
	if a, err := client.Explain(t.Context(), q); err != nil || a.Outcome != explain.OutcomeNotProgrammed {
		t.Errorf("without the module: %+v, %v", a, err)
	}
	d.source.Observed = func() agent.Observed { return agent.Observed{} }
	if _, err := client.Explain(t.Context(), q); err == nil || !strings.Contains(err.Error(), "ask again") {
		t.Errorf("before the first pass: %v", err)
	}
}

func TestConnections(t *testing.T) {
	d := newDirector(t)
	d.connect(10)
	client := d.serve(t)
	network := netip.MustParsePrefix("198.51.0.0/29")
	for name, tc := range map[string]struct {
		filter        inspect.Filter
		limit         int
		visited, want int
	}{
		"all":                  {inspect.Filter{}, 0, 11, 11},
		"a limit":              {inspect.Filter{}, 4, 4, 11},
		"a server":             {inspect.Filter{Server: "pacs-b"}, 0, 6, 6},
		"a server's address":   {inspect.Filter{Server: "192.0.2.11"}, 0, 5, 5},
		"a client's network":   {inspect.Filter{Client: network}, 0, 8, 8},
		"a service":            {inspect.Filter{Service: "radiology/dicom"}, 0, 11, 11},
		"a service in full":    {inspect.Filter{Service: "pacs/radiology/dicom"}, 0, 11, 11},
		"a part of its name":   {inspect.Filter{Service: "icom"}, 0, 0, 0},
		"server and client":    {inspect.Filter{Server: "pacs-a", Client: network}, 0, 4, 4},
		"a server that is not": {inspect.Filter{Server: "pacs-c"}, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			visited := 0
			chosen, err := client.Connections(t.Context(), tc.filter, tc.limit, func(c inspect.Connection) error {
				visited++
				if c.Service != "pacs/radiology/dicom" || c.Server == "" || (c.Virtual == nil) != (c.State == inspect.Remembered) {
					t.Errorf("%+v", c)
				}
				return nil
			})
			if err != nil || visited != tc.visited || chosen != tc.want {
				t.Errorf("%d visited of %d, %v", visited, chosen, err)
			}
		})
	}
	stop := errors.New("enough")
	if _, err := client.Connections(t.Context(), inspect.Filter{}, 0, func(inspect.Connection) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("visit's error: %v", err)
	}
}

// TestConnectionsInBoundedMemory: 100,000 connections go through both ends without being held.
func TestConnectionsInBoundedMemory(t *testing.T) {
	d := newDirector(t)
	d.connect(100000)
	client := d.serve(t)
	heap := func() int64 {
		var now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&now)
		return int64(now.HeapAlloc)
	}
	visited := 0
	var before, most int64 // before: once the fake of the kernel has made its copy
	_, err := client.Connections(t.Context(), inspect.Filter{}, 0, func(inspect.Connection) error {
		if visited++; visited == 1 {
			before = heap()
		}
		if visited%25000 == 0 {
			most = max(most, heap())
		}
		return nil
	})
	if err != nil || visited != 100001 || most-before > 4<<20 {
		t.Errorf("%d visited, the heap grew by %d bytes, %v", visited, most-before, err)
	}
	t.Logf("%d connections, the heap grew by %d KiB at most", visited, (most-before)>>10)
}

func TestStats(t *testing.T) {
	d := newDirector(t)
	d.count(1<<40, 1<<41)
	d.filter.Counted.Guarded = 9
	client := d.serve(t)
	got, err := client.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := inspect.Stats{Dropped: 9, Services: []inspect.Service{{
		Balancer: "pacs/radiology", Name: "dicom", Family: "IPv4",
		Ports: []inspect.Port{{Address: vip, Protocol: model.TCP, First: 104, Last: 104, Packets: 1 << 41, Bytes: 100 << 41}},
		Servers: []inspect.Server{
			{Name: "pacs-a", Address: netip.MustParseAddrPort("192.0.2.11:0"), Weight: 2, Active: 3, Inactive: 4,
				Total: inspect.Traffic{Connections: 1 << 40, PacketsIn: 1 << 41, BytesIn: 100 << 41}},
			{Name: "pacs-b", Address: netip.MustParseAddrPort("192.0.2.12:0"), Weight: 1},
		},
	}}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(inspect.Stats{}, "Time"), cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRates(t *testing.T) {
	at := func(seconds int, connections, packets uint64) inspect.Stats {
		return inspect.Stats{Time: time.Unix(int64(seconds), 0), Services: []inspect.Service{{
			Name: "dicom", Total: inspect.Traffic{Connections: connections, PacketsIn: packets, BytesIn: 10 * packets},
			Servers: []inspect.Server{{Name: "a", Total: inspect.Traffic{Connections: connections}}},
			Ports:   []inspect.Port{{First: 104, Packets: packets, Bytes: 10 * packets}},
		}}}
	}
	got := inspect.WithRates(at(10, 100, 1000), at(14, 108, 1002)).Services[0]
	if got.Rate == nil || got.Rate.Connections != 2 || got.Rate.PacketsIn != 0.5 || got.Rate.BytesIn != 5 {
		t.Errorf("service: %+v", got.Rate)
	}
	if r := got.Servers[0].Rate; r == nil || r.Connections != 2 {
		t.Errorf("server: %+v", r)
	}
	if p := got.Ports[0]; p.PacketRate == nil || *p.PacketRate != 0.5 || *p.ByteRate != 5 {
		t.Errorf("port: %+v", p)
	}
	for name, before := range map[string]inspect.Stats{"began anew": at(10, 200, 2000), "was not there": {Time: time.Unix(10, 0)}, "at the same time": at(14, 1, 1)} {
		if got := inspect.WithRates(before, at(14, 108, 1002)).Services[0]; got.Rate != nil || got.Servers[0].Rate != nil || got.Ports[0].PacketRate != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	client := inspect.NewClient(t.TempDir())
	defer client.Close()
	if _, err := client.Stats(t.Context()); !errors.Is(err, inspect.ErrNotRunning) || !strings.Contains(err.Error(), "as root") {
		t.Errorf("%v", err)
	}
}
