package nft_test

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/nft"
)

// everything has each part of the table in both families.
func everything() nft.Desired {
	four := service("imaging/radiology/four", 0x54000001, []string{"192.0.2.100"}, 104)
	four.PortRanges = []model.PortRange{{First: 2000, Last: 3000}, {First: 4000, Last: 5000}}
	four.Also = []model.Match{{Addresses: addresses("192.0.2.101"), Protocol: model.UDP, Ports: []uint16{514, 514}}}
	four.Forwarding = model.DirectRouting
	six := service("imaging/radiology/six", 0x54000001, []string{"2001:db8::100"}, 104)
	six.Protocol, six.Forwarding = model.UDP, model.SNAT
	six.PortRanges = []model.PortRange{{First: 2000, Last: 3000}}
	six.Servers = []model.RealServer{
		{Address: netip.MustParseAddr("2001:db8:2::11")},
		{Address: netip.MustParseAddr("2001:db8:2::12"), Forwarding: model.NAT},
	}
	return nft.Desired{
		Services: []model.VirtualService{four, six},
		Guarded:  addresses("192.0.2.100", "2001:db8::100"),
		Declared: []model.Match{
			{Addresses: addresses("2001:db8::100"), Protocol: model.TCP, Ports: []uint16{443}, PortRanges: []model.PortRange{{First: 50, Last: 60}}},
			{Addresses: addresses("2001:db8::100"), Protocol: model.TCP, PortRanges: []model.PortRange{{First: 55, Last: 70}}},
		},
		PeerMACs: []net.HardwareAddr{{2, 0, 0, 0, 0, 1}},
		Resets:   []nft.Flow{flow("192.0.2.5:5000", "192.0.2.100:104"), flow("[2001:db8::5]:5000", "[2001:db8::100]:104")},
		Clamps:   []nft.Clamp{clamp("192.0.2.200", 1440), clamp("2001:db8::200", 1300), clamp("2001:db8::201", 1400)},
	}
}

func addresses(all ...string) []netip.Addr {
	var list []netip.Addr
	for _, a := range all {
		list = append(list, netip.MustParseAddr(a))
	}
	return list
}

func flow(client, vip string) nft.Flow {
	return nft.Flow{Client: netip.MustParseAddrPort(client), VIP: netip.MustParseAddrPort(vip)}
}

func clamp(address string, size uint16) nft.Clamp {
	return nft.Clamp{Address: netip.MustParseAddr(address), MSS: size}
}

// whole is the shape of everything.
var whole = nft.Shape{Director: true, Masquerade: true, Gateway: true, Guard: true, Clamp4: 1440, Clamp6: 1300}

func everyPart(t *testing.T, k *counting) {
	mustDo(t, k, everything())
	wantElements(t, k, whole,
		"services4 192.0.2.100 . 6 . 104 : 0x54000001", "services4 192.0.2.101 . 17 . 514 : 0x54000001",
		"ranges4 192.0.2.100 . 6 . 2000-3000 : 0x54000001", "ranges4 192.0.2.100 . 6 . 4000-5000 : 0x54000001",
		"services6 2001:db8::100 . 17 . 104 : 0x54000001", "ranges6 2001:db8::100 . 17 . 2000-3000 : 0x54000001",
		"untracked4 192.0.2.100 . 6 . 104", "untracked4 192.0.2.101 . 17 . 514",
		"untrackedranges4 192.0.2.100 . 6 . 2000-3000", "untrackedranges4 192.0.2.100 . 6 . 4000-5000",
		"masquerade6 0x54000001", "behind6 2001:db8:2::12", "virtual6 2001:db8::100",
		"guarded4 192.0.2.100", "guarded6 2001:db8::100",
		"open4 192.0.2.100 . 6 . 104", "open4 192.0.2.101 . 17 . 514",
		"openranges4 192.0.2.100 . 6 . 2000-3000", "openranges4 192.0.2.100 . 6 . 4000-5000",
		"open6 2001:db8::100 . 17 . 104", "openranges6 2001:db8::100 . 17 . 2000-3000",
		"open6 2001:db8::100 . 6 . 443", "openranges6 2001:db8::100 . 6 . 50-70",
		"peers 02:00:00:00:00:01",
		"resets4 192.0.2.5 . 5000 . 192.0.2.100 . 104", "resets6 2001:db8::5 . 5000 . 2001:db8::100 . 104",
		"clamp4 192.0.2.200", "clamp6 2001:db8::200", "clamp6 2001:db8::201")
	k.wantWrites(t, 1)
	mustDo(t, k, everything())
	k.wantWrites(t, 0)
}

// partsComeAndGo checks that a host has the parts it needs and no other.
func partsComeAndGo(t *testing.T, k *counting) {
	all := everything()
	steps := []struct {
		name  string
		want  nft.Desired
		shape nft.Shape
	}{
		{"real server", nft.Desired{Guarded: all.Guarded, Declared: all.Declared, Clamps: all.Clamps}, nft.Shape{Guard: true, Clamp4: 1440, Clamp6: 1300}},
		{"guard alone", nft.Desired{Guarded: all.Guarded, Declared: all.Declared}, nft.Shape{Guard: true}},
		{"director without SNAT", nft.Desired{Services: all.Services[:1], Resets: all.Resets, PeerMACs: all.PeerMACs}, director},
		{"director with SNAT", nft.Desired{Services: all.Services}, nft.Shape{Director: true, Masquerade: true, Gateway: true}},
		{"resets alone", nft.Desired{Resets: all.Resets}, director},
		{"everything", all, whole},
		{"peers alone need nothing", nft.Desired{PeerMACs: all.PeerMACs}, nft.Shape{}},
	}
	for _, tc := range steps {
		k.writes = 0
		mustDo(t, k, tc.want)
		k.wantWrites(t, 1)
		if got := elements(t, k, "truepacs", tc.shape); (got == nil) != (tc.shape == nft.Shape{}) {
			t.Errorf("%s: elements %v", tc.name, got)
		}
	}
}

func badParts(t *testing.T, k *counting) {
	zone := netip.MustParseAddr("fe80::1%eth0")
	err := nft.New(nft.Config{Kernel: k}).Set(t.Context(), nft.Desired{
		Services: []model.VirtualService{web},
		Guarded:  append(addresses("192.0.2.100", "::ffff:192.0.2.1"), zone, netip.Addr{}),
		Declared: []model.Match{{Addresses: []netip.Addr{zone}, Protocol: model.TCP, Ports: []uint16{1}}, {Protocol: model.TCP, Ports: []uint16{1}}},
		PeerMACs: []net.HardwareAddr{{1, 2, 3}},
		Resets:   []nft.Flow{flow("[2001:db8::5]:5000", "192.0.2.100:104"), {}},
		Clamps:   []nft.Clamp{clamp("192.0.2.100", 0), {MSS: 1440}},
	})
	items, rest := model.ItemErrors(err)
	if len(items) != 0 || rest == nil {
		t.Fatalf("got %v, %v", items, rest)
	}
	if got := strings.Count(rest.Error(), "nft: "); got != 10 {
		t.Errorf("%d things are named, want 10:\n%v", got, rest)
	}
	wantElements(t, k, nft.Shape{Director: true, Guard: true},
		"services4 192.0.2.100 . 6 . 443 : 0x54000002", "guarded4 192.0.2.100", "open4 192.0.2.100 . 6 . 443")
}

func waysOfForwarding(t *testing.T, k *counting) {
	server := func(way model.Forwarding) []model.RealServer {
		return []model.RealServer{{Name: "a"}, {Name: "b", Forwarding: way}}
	}
	tests := map[string]struct {
		way     model.Forwarding
		servers []model.RealServer
		want    []string
	}{
		"direct routing":         {way: model.DirectRouting, want: []string{"untracked4 192.0.2.100 . 6 . 443"}},
		"tunnel":                 {way: model.Tunnel, servers: server(""), want: []string{"untracked4 192.0.2.100 . 6 . 443"}},
		"tunnel and direct":      {way: model.Tunnel, servers: server(model.DirectRouting), want: []string{"untracked4 192.0.2.100 . 6 . 443"}},
		"translation":            {way: model.NAT},
		"fallback by NAT":        {way: model.DirectRouting, servers: server(model.NAT)},
		"masquerading":           {way: model.SNAT, want: []string{"masquerade4 0x54000002", "virtual4 192.0.2.100"}},
		"fallback masquerades":   {way: model.DirectRouting, servers: server(model.SNAT), want: []string{"masquerade4 0x54000002", "virtual4 192.0.2.100"}},
		"servers override it":    {way: model.NAT, servers: server(model.SNAT)[1:], want: []string{"masquerade4 0x54000002", "virtual4 192.0.2.100"}},
		"nobody has said a word": {},
	}
	for name, tc := range tests {
		s := web
		s.Forwarding, s.Servers = tc.way, tc.servers
		mustSet(t, k, s)
		shape := nft.Shape{Director: true, Masquerade: len(tc.want) == 2}
		want := append([]string{}, tc.want...)
		for _, e := range elements(t, k, "truepacs", shape) {
			if strings.HasPrefix(e, "services") {
				want = append(want, e)
			}
		}
		if diff := cmp.Diff(sorted(want), elements(t, k, "truepacs", shape)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func changedRange(t *testing.T, k *counting) {
	s := service("range", 0x54000001, []string{"192.0.2.100"})
	s.PortRanges = []model.PortRange{{First: 100, Last: 200}, {First: 201, Last: 300}}
	mustSet(t, k, s)
	s.Mark, s.PortRanges = 0x54000002, []model.PortRange{{First: 150, Last: 200}, {First: 201, Last: 300}}
	k.writes = 0
	mustSet(t, k, s)
	k.wantWrites(t, 1)
	wantMarks(t, k, "ranges4 192.0.2.100 . 6 . 150-200 : 0x54000002", "ranges4 192.0.2.100 . 6 . 201-300 : 0x54000002")
}

func sorted(all []string) []string {
	slices.Sort(all)
	return all
}
