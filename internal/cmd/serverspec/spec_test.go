package serverspec_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/realserver/setup"
	"github.com/truepacs/balancer/internal/cmd/serverspec"
)

func server(name, address string) v1alpha1.Server {
	return v1alpha1.Server{Name: name, Address: address}
}

func balancers() []v1alpha1.TruePACSBalancer {
	service := func(name string, mode v1alpha1.Mode, pool string, vips []string, ports ...int32) v1alpha1.VirtualService {
		return v1alpha1.VirtualService{Name: name, Mode: mode, ServerPool: pool, VirtualIPs: vips, Ports: ports}
	}
	var b v1alpha1.TruePACSBalancer
	b.Spec.VirtualIPs = []v1alpha1.VirtualIP{{Name: "main", Address: "192.0.2.100"}, {Name: "main6", Address: "2001:db8::100"}, {Name: "far", Address: "198.51.100.1"}}
	b.Spec.ServerPools = []v1alpha1.ServerPool{
		{Name: "archive", Servers: []v1alpha1.Server{server("a", "192.0.2.11"), server("a6", "2001:db8::11"), server("b", "192.0.2.12")},
			FallbackServers: []v1alpha1.FallbackServer{{Server: server("far", "203.0.113.1"), Mode: v1alpha1.FallbackL4Tunnel}, {Server: server("nat", "203.0.113.2"), Mode: v1alpha1.FallbackL4NAT}}},
		{Name: "web", Servers: []v1alpha1.Server{server("w", "192.0.2.13")}},
		{Name: "pods", ServiceRef: &v1alpha1.ServiceReference{Name: "viewer"}},
	}
	syslog := service("syslog", v1alpha1.ModeL4DR, "archive", []string{"main"})
	syslog.Protocol, syslog.PortRanges = v1alpha1.ProtocolUDP, []v1alpha1.PortRange{{First: 514, Last: 520}}
	b.Spec.VirtualServices = []v1alpha1.VirtualService{
		service("dicom", v1alpha1.ModeL4DR, "archive", []string{"main", "main6"}, 11112, 104), syslog,
		service("again", v1alpha1.ModeL4DR, "archive", []string{"main"}, 104),
		service("viewer", v1alpha1.ModeL7SNAT, "web", []string{"main"}, 443),
		service("pods", v1alpha1.ModeL4DR, "pods", []string{"far"}, 443),
		service("lost", v1alpha1.ModeL4DR, "nowhere", []string{"main"}, 1),
	}
	return []v1alpha1.TruePACSBalancer{b}
}

func TestOf(t *testing.T) {
	tcp := func(first uint16) setup.Ports { return setup.Ports{Protocol: model.TCP, First: first, Last: first} }
	vip := func(address string, ports ...setup.Ports) setup.VIP {
		return setup.VIP{Address: netip.MustParseAddr(address), Ports: ports}
	}
	udp := setup.Ports{Protocol: model.UDP, First: 514, Last: 520}
	main := []setup.VIP{vip("192.0.2.100", tcp(104), tcp(11112), udp), vip("2001:db8::100", tcp(104), tcp(11112))}
	tests := map[string]struct {
		chosen    serverspec.Server
		want      setup.Spec
		addresses string
		nothing   bool
	}{
		"by name":           {chosen: serverspec.Called("a"), want: setup.Spec{VIPs: main, Method: setup.Loopback}, addresses: "192.0.2.11"},
		"by address":        {chosen: serverspec.Called("192.0.2.12"), want: setup.Spec{VIPs: main, Method: setup.Loopback}, addresses: "192.0.2.12"},
		"by own addresses":  {chosen: serverspec.Having([]netip.Addr{netip.MustParseAddr("2001:db8::11"), netip.MustParseAddr("192.0.2.11")}), want: setup.Spec{VIPs: main, Method: setup.Loopback}, addresses: "192.0.2.11 2001:db8::11"},
		"fallback's mode":   {chosen: serverspec.Called("far"), want: setup.Spec{VIPs: main, Method: setup.Tunnel}, addresses: "203.0.113.1"},
		"fallback by NAT":   {chosen: serverspec.Called("nat"), nothing: true},
		"layer 7 only":      {chosen: serverspec.Called("w"), nothing: true},
		"unknown":           {chosen: serverspec.Called("x"), nothing: true},
		"pods of a Service": {chosen: serverspec.Called("viewer"), want: setup.Spec{VIPs: []setup.VIP{vip("198.51.100.1", tcp(443))}, Method: setup.Loopback}},
		"any": {chosen: serverspec.Any, addresses: "192.0.2.11 192.0.2.12 203.0.113.1 2001:db8::11",
			want: setup.Spec{VIPs: []setup.VIP{main[0], vip("198.51.100.1", tcp(443)), main[1]}, Method: setup.Tunnel}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, addresses, err := serverspec.Of(balancers(), tc.chosen)
			if tc.nothing {
				if !errors.Is(err, serverspec.ErrNothing) {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			if diff := cmp.Diff(tc.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			var texts []string
			for _, a := range addresses {
				texts = append(texts, a.String())
			}
			if text := strings.Join(texts, " "); text != tc.addresses {
				t.Errorf("addresses %s, want %s", text, tc.addresses)
			}
			if _, err := setup.Script(setup.Linux, got); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWritten(t *testing.T) {
	got, err := serverspec.Written([]string{"192.0.2.100", "2001:db8::100"}, []string{"104", "2000-2010", "514/udp", "515/TCP"})
	ports := []setup.Ports{{Protocol: model.TCP, First: 104, Last: 104}, {Protocol: model.TCP, First: 2000, Last: 2010}, {Protocol: model.UDP, First: 514, Last: 514}, {Protocol: model.TCP, First: 515, Last: 515}}
	want := setup.Spec{VIPs: []setup.VIP{{Address: netip.MustParseAddr("192.0.2.100"), Ports: ports}, {Address: netip.MustParseAddr("2001:db8::100"), Ports: ports}}}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	for _, wrong := range []string{"", "0", "x", "104/sctp", "65536", "20-10", "1-", "-5"} {
		if p, err := serverspec.Written([]string{"192.0.2.100"}, []string{wrong}); err == nil {
			t.Errorf("port %q is %+v", wrong, p)
		}
	}
	if _, err := serverspec.Written([]string{"pacs.example.org"}, []string{"104"}); err == nil {
		t.Error("a name is an address")
	}
}
