package ipvstest

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/model"
)

// six makes a service one of IPv6.
func six(s model.VirtualService) model.VirtualService {
	s.Addresses = []netip.Addr{netip.MustParseAddr("2001:db8::100")}
	s.Servers = slices.Clone(s.Servers)
	for i := range s.Servers {
		b := s.Servers[i].Address.As4()
		s.Servers[i].Address = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: b[3]})
	}
	if s.Persistence != nil {
		s.Persistence = &model.Persistence{Timeout: s.Persistence.Timeout, PrefixLength: 64}
	}
	return s
}

// everyKind changes one service into one kind after the other, in place.
func everyKind(t *testing.T, k *Kernel) {
	d := k.driver()
	check := func(name string, s model.VirtualService, want ...string) {
		t.Helper()
		for range 2 {
			if err := d.Set(t.Context(), []model.VirtualService{s}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		k.wantTable(t, want...)
		k.steps = nil
		if err := d.Set(t.Context(), []model.VirtualService{s}); err != nil || len(k.steps) > 0 {
			t.Errorf("%s: the third call: %v, %v", name, err, k.steps)
		}
	}
	for _, scheduler := range []model.Scheduler{"rr", "wrr", "lc", "wlc", "sh", "mh", "sed", "nq", "fo", "ovf"} {
		s := Web()
		s.Scheduler = scheduler
		check(string(scheduler), s, "firewall mark 0x54000002 "+string(scheduler), "firewall mark 0x54000002 -> 192.0.2.11:0 forward 3 weight 1")
	}
	hash := Web()
	hash.Scheduler, hash.SchedulerFlags = model.MaglevHash, model.SchedulerFlags{Fallback: true, Port: true}
	check("flags", hash, "firewall mark 0x54000002 -> 192.0.2.11:0 forward 3 weight 1", "firewall mark 0x54000002 mh flags 0x18 timeout 0 /32")
	packet := Web()
	packet.Protocol, packet.OnePacket = model.UDP, true
	check("one packet", packet, "firewall mark 0x54000002 -> 192.0.2.11:0 forward 3 weight 1", "firewall mark 0x54000002 rr flags 0x4 timeout 0 /32")
	mixed := Web()
	mixed.Forwarding, mixed.Ports = model.NAT, []uint16{443}
	mixed.Servers = []model.RealServer{
		{Name: "a", Address: netip.MustParseAddr("192.0.2.11"), Weight: 1, Port: 8443, MaxConnections: 50, MinConnections: 40},
		{Name: "b", Address: netip.MustParseAddr("192.0.2.12"), Weight: 2, Port: 443, Forwarding: model.SNAT},
		{Name: "c", Address: netip.MustParseAddr("192.0.2.13"), Weight: 3, Forwarding: model.Tunnel},
		{Name: "d", Address: netip.MustParseAddr("192.0.2.14"), Weight: 4, Forwarding: model.DirectRouting, MaxConnections: 9},
	}
	check("ways of forwarding", mixed,
		"firewall mark 0x54000002 -> 192.0.2.11:8443 forward 0 weight 1 connections 40 to 50",
		"firewall mark 0x54000002 -> 192.0.2.12:0 forward 0 weight 2",
		"firewall mark 0x54000002 -> 192.0.2.13:0 forward 2 weight 3",
		"firewall mark 0x54000002 -> 192.0.2.14:0 forward 3 weight 4 connections 0 to 9",
		"firewall mark 0x54000002 rr")
}

func twoFamilies(t *testing.T, k *Kernel) {
	k.put(t, foreign()...)
	before := k.table(t)
	four := Dicom()
	d := k.driver()
	for range 3 {
		if err := d.Set(t.Context(), []model.VirtualService{four, six(four)}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"firewall mark 0x54000001 (IPv6) -> [2001:db8::b]:0 forward 3 weight 100",
		"firewall mark 0x54000001 (IPv6) -> [2001:db8::c]:0 forward 3 weight 100",
		"firewall mark 0x54000001 (IPv6) wlc flags 0x1 timeout 300 /64",
		"firewall mark 0x54000001 -> 192.0.2.11:0 forward 3 weight 100",
		"firewall mark 0x54000001 -> 192.0.2.12:0 forward 3 weight 100",
		"firewall mark 0x54000001 wlc flags 0x1 timeout 300 /32",
	}
	all := slices.Concat(want, before)
	slices.Sort(all)
	k.wantTable(t, all...)
	k.steps = nil
	if err := d.Set(t.Context(), []model.VirtualService{six(four)}); err != nil {
		t.Fatal(err)
	}
	k.wantSteps(t, "remove service 0x54000001")
	all = slices.Concat(want[:3], before)
	slices.Sort(all)
	k.wantTable(t, all...)
}

func states(t *testing.T, k *Kernel) {
	s := Dicom()
	k.mustSet(t, s)
	s.Servers[0].State, s.Servers[1].State = model.Drain, model.Maintenance
	k.steps = nil
	k.mustSet(t, s)
	k.wantSteps(t, "change destination 0x54000001 192.0.2.11 weight 0", "remove destination 0x54000001 192.0.2.12 weight 100")
}

// drift: what others change is put right by the same driver, without news, within a bounded number
// of calls; what the table shows, with the next.
func drift(t *testing.T, k *Kernel) {
	all := []model.VirtualService{Dicom(), six(Dicom()), Web()}
	d := k.driver()
	set := func() {
		t.Helper()
		if err := d.Set(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	set()
	set()
	want := k.table(t)
	web := genl.Service{ServiceID: genl.ByMark(0x54000002, false), Scheduler: "rr", PrefixLength: 32}
	other, hidden, left := web, web, web
	other.Scheduler = "wlc"
	hidden.Flags = genl.FlagPort
	left.ServiceID = genl.ByMark(0x54000009, true)
	left.PrefixLength = 128
	a := genl.Destination{Address: at("192.0.2.11:0"), Forward: genl.DirectRoute, Weight: 9}
	b := genl.Destination{Address: at("192.0.2.33:0"), Forward: genl.DirectRoute, Weight: 9}
	limited := genl.Destination{Address: at("192.0.2.11:0"), Forward: genl.DirectRoute, Weight: 1, UpperThreshold: 5}
	for name, tc := range map[string]struct {
		changes []genl.Change
		calls   int
	}{
		"scheduler":        {[]genl.Change{{Command: genl.SetService, Service: other}}, 1},
		"weight":           {[]genl.Change{{Command: genl.SetDest, Service: web, Destination: a}}, 1},
		"server too many":  {[]genl.Change{{Command: genl.NewDest, Service: web, Destination: b}}, 1},
		"server too few":   {[]genl.Change{{Command: genl.DelDest, Service: web, Destination: a}}, 1},
		"service too many": {[]genl.Change{{Command: genl.NewService, Service: left}}, 1},
		"service too few":  {[]genl.Change{{Command: genl.DelService, Service: web}}, 1},
		"hidden flag":      {[]genl.Change{{Command: genl.SetService, Service: hidden}}, 40},
		"hidden threshold": {[]genl.Change{{Command: genl.SetDest, Service: web, Destination: limited}}, 2},
	} {
		k.put(t, tc.changes...)
		for range tc.calls {
			set()
		}
		if got := k.table(t); !slices.Equal(got, want) {
			t.Errorf("%s: after %d calls the table is\n%q, want\n%q", name, tc.calls, got, want)
		}
		k.steps = nil
		set()
		k.wantSteps(t)
	}
}

// badServers: what cannot be as it is wanted is not taken from the clients that use it.
func badServers(t *testing.T, k *Kernel) {
	k.mustSet(t, Dicom())
	bad := Dicom()
	bad.Servers[0].Weight = 70_000
	bad.Servers[1].Port = 8080
	k.steps = nil
	err := k.driver().Set(t.Context(), []model.VirtualService{bad})
	if items, rest := model.ItemErrors(err); len(items) != 1 || rest != nil {
		t.Errorf("got %v", err)
	}
	k.wantSteps(t)
}

func figures(t *testing.T, k *Kernel) {
	d := k.driver()
	if err := d.Set(t.Context(), []model.VirtualService{Web(), six(Web())}); err != nil {
		t.Fatal(err)
	}
	stats, err := d.Stats(t.Context())
	if err != nil || len(stats) != 2 {
		t.Fatalf("got %v, %v", stats, err)
	}
	for i, s := range stats {
		if s.Key != Web().Key || s.IPv6 != (i == 1) || len(s.Servers) != 1 || s.Servers[0].Name != "pacs-a" || s.Servers[0].Weight != 1 {
			t.Errorf("got %+v", s)
		}
	}
	weights, err := k.driver().Weights(t.Context())
	want := map[uint32]map[string]int{0x54000002: {"192.0.2.11": 1, "2001:db8::b": 1}}
	if diff := cmp.Diff(want, weights); diff != "" || err != nil {
		t.Errorf("weights, %v (-want +got):\n%s", err, diff)
	}
	if err := d.Connections(t.Context(), ipvs.ConnectionFilter{}, func(ipvs.Connection) error { return nil }); err != nil {
		t.Error(err)
	}
}
