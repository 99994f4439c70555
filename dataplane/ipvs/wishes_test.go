package ipvs_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/ipvstest"
	"github.com/truepacs/balancer/dataplane/model"
)

// TestNewsAreNoticed: one driver sees each change of what is wanted, also one that the caller makes in
// the slice that it gave before.
func TestNewsAreNoticed(t *testing.T) {
	fake := &ipvs.Fake{}
	driver := ipvs.New(ipvs.Config{Kernel: fake})
	all := []model.VirtualService{ipvstest.Web(), ipvstest.Dicom()}
	s, server := &all[1], &all[1].Servers[0]
	for _, news := range []struct {
		name   string
		change func()
	}{
		{"first", func() {}},
		{"weight", func() { server.Weight++ }},
		{"state", func() { server.State = model.Drain }},
		{"maintenance", func() { server.State = model.Maintenance }},
		{"back", func() { server.State = model.Active }},
		{"most connections", func() { server.MaxConnections = 9 }},
		{"fewest connections", func() { server.MinConnections = 3 }},
		{"way of one server", func() { server.Forwarding = model.Tunnel }},
		{"way", func() { s.Forwarding = model.NAT }},
		{"timeout", func() { s.Persistence.Timeout += time.Second }},
		{"prefix", func() { s.Persistence.PrefixLength-- }},
		{"no persistence", func() { s.Persistence = nil }},
		{"port", func() { server.Forwarding, server.Port = model.NAT, 105 }},
		{"one port", func() { s.Ports = []uint16{105} }},
		{"one packet", func() { s.Protocol, s.OnePacket = model.UDP, true }},
		{"scheduler", func() { s.Scheduler = model.SourceHash }},
		{"flags", func() { s.SchedulerFlags.Port = true }},
		{"mark", func() { s.Mark++; s.Mark++ }},
		{"server", func() { s.Servers = s.Servers[:1] }},
		{"family", func() {
			s.Addresses = []netip.Addr{netip.MustParseAddr("2001:db8::100")}
			server.Address = netip.MustParseAddr("2001:db8::11")
		}},
		{"service", func() { all = all[:1] }},
	} {
		news.change()
		before := len(fake.Changes())
		if err := driver.Set(t.Context(), all); err != nil {
			t.Fatalf("%s: %v", news.name, err)
		}
		if len(fake.Changes()) == before {
			t.Errorf("%s: nothing was written", news.name)
		}
		before = len(fake.Changes())
		if err := driver.Set(t.Context(), all); err != nil || len(fake.Changes()) != before {
			t.Errorf("%s: the second call: %v, %v", news.name, err, fake.Changes()[before:])
		}
	}
}
