package preflight

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/truepacs/balancer/dataplane/model"
)

var (
	vip     = netip.MustParseAddr("192.0.2.100")
	serverA = netip.MustParseAddr("192.0.2.11")
	macA    = net.HardwareAddr{2, 0, 0, 0, 0, 0x11}
	other   = net.HardwareAddr{2, 0, 0, 0, 0, 0x99}
)

var everywhere = netip.MustParsePrefix("0.0.0.0/0")

// director has a direct-routing service and a layer 7 service on one address, and a service that
// translates.
func director() model.Node {
	pacs := []model.RealServer{{Name: "pacs-a", Address: serverA, Weight: 100}}
	return model.Node{
		VirtualIPs: []model.VirtualIP{{Key: "ns/b/main", Address: vip, Interface: "eth0"}},
		Services: []model.VirtualService{
			{Key: "ns/b/dicom", Mark: 7, Addresses: []netip.Addr{vip}, Protocol: model.TCP, PortRanges: []model.PortRange{{First: 104, Last: 110}}, Forwarding: model.DirectRouting, Servers: pacs},
			{Key: "ns/b/nat", Mark: 8, Addresses: []netip.Addr{vip}, Protocol: model.TCP, Ports: []uint16{443}, Forwarding: model.NAT, Servers: pacs},
		},
		Proxy: model.Proxy{
			Listeners: []model.Listener{{Service: "ns/b/web", Address: netip.AddrPortFrom(vip, 443), Pool: "ns/b/web"}},
			Pools:     []model.Pool{{Name: "ns/b/web", Servers: []model.PoolServer{{Name: "pacs-b", Address: netip.MustParseAddrPort("192.0.2.12:8042")}}}},
		},
	}
}

// well is a host and a segment on which all works.
func well() Facts {
	return Facts{
		Interfaces: []Interface{
			{Name: "eth0", MTU: 1500, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")}, RPFilter: 2},
			{Name: "eth1", MTU: 1500, Addresses: []netip.Prefix{netip.MustParsePrefix("198.51.100.2/24")}, RPFilter: 1},
		},
		Sockets: []Socket{
			{Address: netip.MustParseAddrPort("0.0.0.0:22"), Program: "sshd"},
			{Address: netip.MustParseAddrPort("192.0.2.100:443"), Program: "truepacs", Own: true},
			{Address: netip.MustParseAddrPort("192.0.2.2:443"), Program: "nginx"},
		},
		Forwarding: Forwarding{IPv4: true},
		Servers:    map[netip.Addr]Server{serverA: {MAC: macA, MTU: 1500}},
	}
}

func TestNothingIsFoundWhereAllIsWell(t *testing.T) {
	if found := Judge(director(), well()); len(found) > 0 {
		t.Errorf("found %+v", found)
	}
}

func TestEveryMisconfigurationIsNamed(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Facts)
		want   model.Finding // Message: what it must contain, separated by |
	}{
		"server answers ARP": {func(f *Facts) { f.Neighbours = map[netip.Addr][]net.HardwareAddr{vip: {macA}} },
			model.Finding{Key: "ns/b/main", Reason: ReasonServerAnswersARP, Message: "pacs-a (192.0.2.11, 02:00:00:00:00:11)|realserver-setup"}},
		"other owner": {func(f *Facts) { f.Neighbours = map[netip.Addr][]net.HardwareAddr{vip: {other}} },
			model.Finding{Key: "ns/b/main", Reason: ReasonAddressOwnedByOther, Message: "02:00:00:00:00:99|192.0.2.100"}},
		"server without the address": {func(f *Facts) { f.Servers[serverA] = Server{MAC: macA, NoVIP: []netip.Addr{vip}} },
			model.Finding{Key: "ns/b/dicom", Reason: ReasonServerWithoutVIP, Message: "pacs-a (192.0.2.11)|realserver-setup"}},
		"port taken by a wildcard": {func(f *Facts) {
			f.Sockets = append(f.Sockets, Socket{Address: netip.MustParseAddrPort("[::]:443"), Program: "apache2"})
		}, model.Finding{Key: "ns/b/web", Reason: ReasonPortTaken, Message: "apache2|[::]:443"}},
		"replies through the director": {func(f *Facts) { f.Through = map[netip.Addr][]net.HardwareAddr{vip: {macA}} },
			model.Finding{Key: "ns/b/dicom", Reason: ReasonDirectorIsGateway, Message: "pacs-a (192.0.2.11, 02:00:00:00:00:11)|ip route replace default"}},
		"replies of a host that is no server": {func(f *Facts) { f.Through = map[netip.Addr][]net.HardwareAddr{vip: {other}} },
			model.Finding{Key: "ns/b/dicom", Reason: ReasonDirectorIsGateway, Message: "the host 02:00:00:00:00:99"}},
		"marks altered": {func(f *Facts) {
			f.Marks, f.Unmarked = 0xff000000, map[Destination]bool{
				{netip.AddrPortFrom(vip, 105), model.TCP}: true, {netip.AddrPortFrom(vip, 104), model.TCP}: true, {netip.AddrPortFrom(vip, 80), model.TCP}: true,
			}
		}, model.Finding{Key: "ns/b/dicom", Reason: ReasonMarksAltered, Message: "192.0.2.100:104|0x7|0xff000000"}},
		"forwarding off": {func(f *Facts) { f.Forwarding.IPv4 = false },
			model.Finding{Key: "ns/b/nat", Reason: ReasonForwardingOff, Message: "pacs-a (192.0.2.11)|net.ipv4.ip_forward is 0|another program"}},
		"strict source check, default route elsewhere": {func(f *Facts) {
			f.Interfaces[0].RPFilter = 1
			f.Exits = []Exit{{To: everywhere, Interfaces: []string{"eth1"}}}
		}, model.Finding{Key: "ns/b/main", Reason: ReasonStrictSourceCheck, Message: "default route|eth1|net.ipv4.conf.eth0.rp_filter=2"}},
		"strict source check, clients elsewhere": {func(f *Facts) {
			f.Interfaces[0].RPFilter = 1
			f.Exits = []Exit{{To: everywhere, Interfaces: []string{"eth0"}}, {To: netip.MustParsePrefix("10.9.0.0/16"), Interfaces: []string{"eth1"}}}
		}, model.Finding{Key: "ns/b/main", Reason: ReasonStrictSourceCheck, Message: "10.9.0.0/16|eth1"}},
		"MTU": {func(f *Facts) { f.Servers[serverA] = Server{MAC: macA, MTU: 1400} },
			model.Finding{Key: "ns/b/dicom", Reason: ReasonMTUMismatch, Message: "1400|1500|eth0"}},
		"LRO": {func(f *Facts) { f.Interfaces[1].LRO = true },
			model.Finding{Reason: ReasonReceiveOffload, Message: "ethtool -K eth1 lro off"}},
		"foreign IPVS": {func(f *Facts) { f.IPVS = ForeignIPVS{Services: []string{"TCP 192.0.2.7:80 rr"}, Count: 3} },
			model.Finding{Reason: ReasonForeignIPVS, Message: "3 services|TCP 192.0.2.7:80 rr", Advice: true}},
		"kube-proxy": {func(f *Facts) { f.IPVS = ForeignIPVS{Count: 9, KubeProxy: true} },
			model.Finding{Reason: ReasonKubeProxyIPVS, Message: "9 services|nftables"}},
	} {
		t.Run(name, func(t *testing.T) {
			facts := well()
			tc.change(&facts)
			found := Judge(director(), facts)
			if len(found) != 1 || found[0].Key != tc.want.Key || found[0].Reason != tc.want.Reason || found[0].Advice != tc.want.Advice {
				t.Fatalf("found %+v", found)
			}
			for _, part := range strings.Split(tc.want.Message, "|") {
				if !strings.Contains(found[0].Message, part) {
					t.Errorf("%q does not say %q", found[0].Message, part)
				}
			}
		})
	}
}

// TestForwardingIsJudgedByWhatAServiceNeeds: family, mode and, for SNAT over IPv4, the interface that
// faces the server.
func TestForwardingIsJudgedByWhatAServiceNeeds(t *testing.T) {
	four, six := "198.51.100.11", "2001:db8::11"
	docker := map[string]bool{"docker0": true, "eth1": false}
	for name, tc := range map[string]struct {
		how    model.Forwarding
		server string
		facts  Forwarding
		want   string // empty: nothing
	}{
		"SNAT over IPv6 with IPv6":          {model.SNAT, six, Forwarding{IPv6: true}, ""},
		"SNAT over IPv6 with IPv4":          {model.SNAT, six, Forwarding{IPv4: true}, "net.ipv6.conf.all.forwarding"},
		"NAT over IPv6 with IPv4":           {model.NAT, six, Forwarding{IPv4: true}, "net.ipv6.conf.all.forwarding"},
		"NAT over IPv4":                     {model.NAT, four, Forwarding{IPv4: true}, ""},
		"NAT over IPv4 with IPv6":           {model.NAT, four, Forwarding{IPv6: true}, "net.ipv4.ip_forward"},
		"NAT over IPv4 with its interface":  {model.NAT, four, Forwarding{Interfaces: map[string]bool{"eth1": true}}, "net.ipv4.ip_forward"},
		"SNAT over IPv4 with its interface": {model.SNAT, four, Forwarding{Interfaces: map[string]bool{"eth1": true}}, ""},
		"SNAT over IPv4 with another":       {model.SNAT, four, Forwarding{Interfaces: docker}, "net.ipv4.conf.eth1.forwarding"},
		"its interface taken out":           {model.SNAT, four, Forwarding{IPv4: true, Interfaces: docker}, "net.ipv4.conf.eth1.forwarding"},
		"SNAT by a way that is not known":   {model.SNAT, "203.0.113.11", Forwarding{Interfaces: docker}, ""},
		"direct routing":                    {model.DirectRouting, four, Forwarding{}, ""},
		"tunnel":                            {model.Tunnel, six, Forwarding{}, ""},
	} {
		server := model.RealServer{Name: "pacs-c", Address: netip.MustParseAddr(tc.server), Forwarding: tc.how}
		for _, service := range []model.VirtualService{
			{Key: "s", Forwarding: tc.how, Servers: []model.RealServer{{Name: "pacs-c", Address: server.Address}}},
			{Key: "s", Forwarding: model.DirectRouting, Servers: []model.RealServer{server, server}}, // a fallback server has a mode of its own
		} {
			facts := Facts{Forwarding: tc.facts, Toward: map[netip.Addr]string{netip.MustParseAddr(four): "eth1"}}
			found := Judge(model.Node{Services: []model.VirtualService{service}}, facts)
			switch {
			case tc.want == "" && len(found) > 0:
				t.Errorf("%s: found %+v", name, found)
			case tc.want != "" && (len(found) != 1 || found[0].Reason != ReasonForwardingOff || !strings.Contains(found[0].Message, tc.want+" is 0")):
				t.Errorf("%s: found %+v, want %s", name, found, tc.want)
			}
		}
	}
}

func TestServerThatHoldsTheAddressOfItsOwnProxy(t *testing.T) {
	node := director()
	node.Proxy.Pools[0].Servers[0].Address = netip.AddrPortFrom(serverA, 8042)
	found := Judge(node, well())
	if len(found) != 1 || found[0].Reason != ReasonServersCallVIP || !found[0].Advice || found[0].Key != "ns/b/web" {
		t.Errorf("found %+v", found)
	}
}

// TestStrictSourceCheckOfAHostWithOneWay: all that clients may be reached by is the interface itself.
func TestStrictSourceCheckOfAHostWithOneWay(t *testing.T) {
	for name, exits := range map[string][]Exit{
		"no route but the networks": nil,
		"default":                   {{To: everywhere, Interfaces: []string{"eth0"}}},
		"reserve":                   {{To: everywhere, Interfaces: []string{"eth1"}, Metric: 200}, {To: everywhere, Interfaces: []string{"eth0"}, Metric: 100}},
		"shared":                    {{To: everywhere, Interfaces: []string{"eth1", "eth0"}}},
	} {
		facts := well()
		facts.Interfaces[0].RPFilter, facts.Exits = 1, exits
		if found := Judge(director(), facts); len(found) > 0 {
			t.Errorf("%s: found %+v", name, found)
		}
	}
}

// TestFurtherServicesOfAGroup: addresses and ports of a persistence group's further services count.
func TestFurtherServicesOfAGroup(t *testing.T) {
	second := netip.MustParseAddr("192.0.2.101")
	node := director()
	node.Services[0].Also = []model.Match{{Addresses: []netip.Addr{second}, Protocol: model.TCP, Ports: []uint16{105}}}
	for name, tc := range map[string]struct {
		change func(*model.Node, *Facts)
		want   string
	}{
		"server without the address": {func(_ *model.Node, f *Facts) { f.Servers[serverA] = Server{MAC: macA, NoVIP: []netip.Addr{second}} }, ReasonServerWithoutVIP},
		"replies through the director": {func(_ *model.Node, f *Facts) {
			f.Through = map[netip.Addr][]net.HardwareAddr{second: {macA}}
		}, ReasonDirectorIsGateway},
		"marks": {func(_ *model.Node, f *Facts) {
			f.Unmarked = map[Destination]bool{{netip.AddrPortFrom(second, 105), model.TCP}: true, {netip.AddrPortFrom(second, 106), model.TCP}: true}
		}, ReasonMarksAltered},
		"servers that call": {func(n *model.Node, _ *Facts) {
			n.Proxy.Listeners[0].Address = netip.AddrPortFrom(second, 443)
			n.Proxy.Pools[0].Servers[0].Address = netip.AddrPortFrom(serverA, 8042)
		}, ReasonServersCallVIP},
	} {
		n, facts := node, well()
		n.Proxy = director().Proxy
		tc.change(&n, &facts)
		if found := Judge(n, facts); len(found) != 1 || found[0].Reason != tc.want || !strings.Contains(found[0].Message, second.String()) {
			t.Errorf("%s: found %+v", name, found)
		}
	}
}

// TestLargestPacketsOfBothFamilies: what a router lowered for IPv6 is no mistake of the server.
func TestLargestPacketsOfBothFamilies(t *testing.T) {
	six := netip.MustParseAddr("2001:db8::11")
	for name, tc := range map[string]struct{ mtu6, answered, found int }{
		"as the interface": {0, 1500, 0}, "lowered by the router": {1480, 1480, 0}, "smaller than that": {1480, 1400, 1}, "smaller": {0, 1400, 1},
	} {
		node, facts := director(), well()
		node.Services[0].Servers = []model.RealServer{{Name: "pacs-6", Address: six}}
		facts.Interfaces[0].MTU6 = tc.mtu6
		facts.Servers[six] = Server{MAC: macA, MTU: tc.answered, Interface: "eth0"} // whose address is a /128
		if found := Judge(node, facts); len(found) != tc.found || tc.found > 0 && found[0].Reason != ReasonMTUMismatch {
			t.Errorf("%s: found %+v", name, found)
		}
	}
}
