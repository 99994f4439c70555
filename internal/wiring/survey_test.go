package wiring

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/truepacs/balancer/dataplane/announce"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/nft"
	"github.com/truepacs/balancer/dataplane/preflight"
)

func TestRotationAsksForAllByTurns(t *testing.T) {
	all := []int{1, 2, 3, 4, 5, 6, 7}
	var r rotation[int, string]
	if got := r.due(all[:3], 3); !slices.Equal(got, all[:3]) {
		t.Errorf("few are asked for at once: %v", got)
	}
	asked := map[int]int{}
	for range 7 {
		for _, k := range r.due(all, 3) {
			asked[k]++
			r.note(k, "known")
		}
	}
	for _, k := range all {
		if asked[k] != 3 {
			t.Errorf("%d was asked for %d times in 7 turns of 3 of 7", k, asked[k])
		}
	}
	if got := r.answers(all[:2]); len(got) != 2 || len(r.answers(all)) != 2 {
		t.Errorf("kept %v", got)
	}
}

func address(text string) netip.Addr { return netip.MustParseAddr(text) }

func TestServersAreAskedForWhatTheyShouldAccept(t *testing.T) {
	vips := []netip.Addr{address("192.0.2.100"), address("192.0.2.101")}
	node := model.Node{Services: []model.VirtualService{
		{
			Addresses: vips[:1], Protocol: model.TCP, PortRanges: []model.PortRange{{First: 5000, Last: 5010}}, Forwarding: model.DirectRouting,
			Also: []model.Match{{Addresses: vips[1:], Protocol: model.TCP, Ports: []uint16{80, 443}}},
			Servers: []model.RealServer{
				{Address: address("192.0.2.11")}, {Address: address("192.0.2.12"), State: model.Maintenance},
				{Address: address("192.0.2.13"), Forwarding: model.SNAT}, {Address: address("192.0.2.14"), State: model.Drain},
			},
		},
		{Addresses: vips, Protocol: model.TCP, Ports: []uint16{104}, Forwarding: model.DirectRouting, Servers: []model.RealServer{{Address: address("192.0.2.11")}}},
		{Addresses: vips, Protocol: model.UDP, Ports: []uint16{514}, Forwarding: model.DirectRouting, Servers: []model.RealServer{{Address: address("192.0.2.15")}}},
		{Addresses: vips, Protocol: model.TCP, Ports: []uint16{514}, Forwarding: model.Tunnel, Servers: []model.RealServer{{Address: address("192.0.2.16")}}},
	}}
	both := []netip.AddrPort{netip.AddrPortFrom(vips[0], 5000), netip.AddrPortFrom(vips[1], 80)}
	want := map[netip.Addr][]netip.AddrPort{address("192.0.2.11"): both, address("192.0.2.14"): both}
	if diff := cmp.Diff(want, directPorts(node), cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// refusing is a network on which no question can be asked.
type refusing struct{ announce.Network }

func (refusing) Open(string, announce.Kind, *announce.Listen) (announce.Port, error) {
	return nil, errors.New("too many open files")
}

// TestFailedQuestionLeavesTheLastAnswer: what was found before does not go away because a socket could
// not be opened, and nothing is made up.
func TestFailedQuestionLeavesTheLastAnswer(t *testing.T) {
	vip, server := address("192.0.2.100"), address("192.0.2.11")
	other, mac := net.HardwareAddr{2, 0, 0, 0, 0, 0x99}, net.HardwareAddr{2, 0, 0, 0, 0, 0x11}
	network := &announce.Fake{}
	network.SetInterface("eth0", announce.Interface{Index: 2, MAC: announce.MAC{2, 0, 0, 0, 0, 1}, Up: true})
	s := &surveyor{prober: announce.Prober{Network: refusing{network}}, replies: &preflight.Replies{}}
	s.holders.note(vip, []net.HardwareAddr{other})
	s.servers.note(server, preflight.Server{MAC: mac, MTU: 1400})
	node := model.Node{
		VirtualIPs: []model.VirtualIP{{Key: "v", Address: vip, Interface: "eth0"}},
		Services:   []model.VirtualService{{Servers: []model.RealServer{{Address: server}}}},
	}
	eth0 := preflight.Interface{Name: "eth0", Index: 2, MTU: 1500, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")}}
	facts := preflight.Facts{Interfaces: []preflight.Interface{eth0}}
	if err := s.neighbours(t.Context(), node, &facts); err == nil {
		t.Error("the questions did not fail")
	}
	if got := facts.Neighbours[vip]; len(got) != 1 || got[0].String() != other.String() {
		t.Errorf("holders %v", facts.Neighbours)
	}
	if got := facts.Servers[server]; got.MTU != 1400 || got.MAC.String() != mac.String() {
		t.Errorf("server %+v", got)
	}
}

// TestFailedKnockLeavesTheLastAnswer: the same for what a server accepts. The server is on loopback, the
// interface does not exist.
func TestFailedKnockLeavesTheLastAnswer(t *testing.T) {
	server, vip := address("127.0.0.9"), netip.MustParseAddrPort("192.0.2.100:104")
	network := &announce.Fake{}
	network.SetInterface("tp-none", announce.Interface{Index: 2, MAC: announce.MAC{2, 0, 0, 0, 0, 1}, Up: true})
	network.AddHost("tp-none", server, announce.MAC{2, 0, 0, 0, 0, 0x11})
	for _, silent := range []bool{true, false} {
		s, accepts := &surveyor{}, &rotation[netip.AddrPort, bool]{}
		accepts.note(vip, silent)
		at := neighbour{preflight.Interface{Name: "tp-none", MTU: 1500}, address("127.0.0.1")}
		got, err := s.server(t.Context(), network, server, at, []netip.AddrPort{vip}, accepts)
		if err == nil || len(got.NoVIP) > 0 != silent {
			t.Errorf("silent before: %v; now %v, %v", silent, got.NoVIP, err)
		}
	}
}

// TestSegmentIsAskedEveryFewSeconds, and at once when there is something else to ask for.
func TestSegmentIsAskedEveryFewSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := &announce.Fake{}
		network.SetInterface("eth0", announce.Interface{Index: 2, MAC: announce.MAC{2, 0, 0, 0, 0, 1}, Up: true})
		s := &surveyor{prober: announce.Prober{Network: network}}
		node := model.Node{VirtualIPs: []model.VirtualIP{{Key: "v", Address: address("192.0.2.100"), Interface: "eth0"}}}
		asked := func() int {
			t.Helper()
			before := len(network.Sent())
			var facts preflight.Facts
			if err := s.neighbours(t.Context(), node, &facts); err != nil {
				t.Fatal(err)
			}
			if _, known := facts.Neighbours[node.VirtualIPs[0].Address]; !known {
				t.Error("nothing is known of the address")
			}
			return len(network.Sent()) - before
		}
		var got []int
		for range 3 {
			begin := time.Now()
			got = append(got, asked())
			time.Sleep(surveyEvery - time.Since(begin))
		}
		node.VirtualIPs = append(node.VirtualIPs, model.VirtualIP{Key: "w", Address: address("192.0.2.101"), Interface: "eth0"})
		got = append(got, asked(), asked())
		if want := []int{3, 0, 3, 6, 0}; !slices.Equal(got, want) {
			t.Errorf("questions %v, want %v", got, want)
		}
	})
}

// TestServersOfAHostWithHostPrefixes are on its segment if the kernel says so.
func TestServersOfAHostWithHostPrefixes(t *testing.T) {
	here, own := address("2001:db8::11"), address("2001:db8::2")
	source := func(a netip.Addr) (string, netip.Addr, bool, error) { return "eth0", own, a == here, nil }
	eth0 := preflight.Interface{Name: "eth0", Index: 2, Addresses: []netip.Prefix{netip.MustParsePrefix("2001:db8::2/128"), netip.MustParsePrefix("192.0.2.2/24")}}
	node := model.Node{Services: []model.VirtualService{{Servers: []model.RealServer{
		{Address: here}, {Address: address("2001:db8:9::11")}, {Address: address("192.0.2.11")}, {Address: address("198.51.100.11")},
	}}}}
	found, err := onSegment(node, []preflight.Interface{eth0}, source)
	if err != nil || len(found) != 2 || found[here].from != own || found[here].Name != "eth0" || found[address("192.0.2.11")].from != address("192.0.2.2") {
		t.Errorf("found %v, %v", found, err)
	}
	// A source that is a virtual IP is not the host's own.
	eth0.Addresses = []netip.Prefix{netip.MustParsePrefix("2001:db8::3/128")}
	if found, err := onSegment(node, []preflight.Interface{eth0}, source); err != nil || len(found) != 0 {
		t.Errorf("found %v, %v", found, err)
	}
}

func TestAnswersToThisHostAreNotOnTheirWayToAClient(t *testing.T) {
	eth0 := preflight.Interface{Name: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/32"), netip.MustParsePrefix("192.0.2.2/24")}}
	facts := preflight.Facts{Interfaces: []preflight.Interface{eth0}}
	vip, a, b := address("192.0.2.100"), net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	(&surveyor{}).packets(&facts,
		nft.Seen{Through: []nft.Reply{{VIP: vip, MAC: b, Client: address("198.51.100.7")}, {VIP: vip, MAC: a, Client: address("192.0.2.2")}}},
		nft.Seen{Through: []nft.Reply{{VIP: vip, MAC: b, Client: address("198.51.100.8")}, {VIP: vip, MAC: a, Client: address("198.51.100.8")}}})
	if got := facts.Through[vip]; len(facts.Through) != 1 || len(got) != 2 || got[0].String() != a.String() || got[1].String() != b.String() {
		t.Errorf("%v", facts.Through)
	}
	facts = preflight.Facts{Interfaces: []preflight.Interface{eth0}}
	(&surveyor{}).packets(&facts, nft.Seen{Through: []nft.Reply{{VIP: vip, MAC: a, Client: address("192.0.2.2")}}})
	if len(facts.Through) != 0 {
		t.Errorf("an answer to this host counts: %v", facts.Through)
	}
	if got := sourceFor(eth0, address("192.0.2.11")); got != address("192.0.2.2") {
		t.Errorf("asks from %s", got)
	}
}

func TestInterfacesThatFaceServersOfSNAT(t *testing.T) {
	node := model.Node{Services: []model.VirtualService{{Forwarding: model.SNAT, Servers: []model.RealServer{
		{Address: address("192.0.2.11")}, {Address: address("192.0.2.12"), Forwarding: model.NAT}, {Address: address("2001:db8::1")}, {Address: address("203.0.113.1")},
	}}}}
	got := toward(node, func(a netip.Addr) (string, error) {
		if a == address("203.0.113.1") {
			return "", errors.New("no way")
		}
		return "eth1", nil
	})
	want := map[netip.Addr]string{address("192.0.2.11"): "eth1"}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
