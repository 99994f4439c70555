package setup_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/realserver/setup"
)

// canned is a host in memory.
type canned setup.Host

func (c canned) Read(context.Context, []string) (setup.Host, error) { return setup.Host(c), nil }

// prepared is a host with all that the specification of TestInspect asks for.
func prepared() canned {
	return canned{
		Interfaces: []setup.Interface{
			{Name: "lo", MTU: 65536}, {Name: "eth0", MTU: 1500, Audible: true, ARPIgnore: 1, ARPAnnounce: 2}, {Name: "cni0", MTU: 1450},
		},
		Addresses: []setup.Address{
			{Interface: "lo", Prefix: netip.MustParsePrefix("192.0.2.100/32")}, {Interface: "eth0", Prefix: netip.MustParsePrefix("192.0.2.13/24")},
			{Interface: "lo", Prefix: netip.MustParsePrefix("2001:db8::100/128"), Deprecated: true},
		},
		Sockets:     []setup.Socket{{Protocol: model.TCP, Address: netip.IPv6Unspecified(), Port: 104}},
		Firewall:    setup.Firewall{Guarded: []netip.Addr{netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("2001:db8::100")}},
		AfterReboot: true,
	}
}

func TestInspect(t *testing.T) {
	tests := map[string]struct {
		change func(*canned, *setup.Spec)
		want   []string
	}{
		"all is well":        {func(*canned, *setup.Spec) {}, nil},
		"address missing":    {func(h *canned, _ *setup.Spec) { h.Addresses = h.Addresses[1:] }, []string{"VIPMissing 192.0.2.100"}},
		"address on card":    {func(h *canned, _ *setup.Spec) { h.Addresses[0].Interface = "eth0" }, []string{"VIPOnInterface 192.0.2.100", "VIPMissing 192.0.2.100"}},
		"IPv6 preferred":     {func(h *canned, _ *setup.Spec) { h.Addresses[2].Deprecated = false }, []string{"VIPUsedAsSource 2001:db8::100"}},
		"answers ARP":        {func(h *canned, _ *setup.Spec) { h.Interfaces[1].ARPIgnore = 0 }, []string{"VIPAnswersARP eth0"}},
		"reserved arp value": {func(h *canned, _ *setup.Spec) { h.Interfaces[1].ARPIgnore = 5 }, []string{"VIPAnswersARP eth0"}},
		"announces":          {func(h *canned, _ *setup.Spec) { h.Interfaces[1].ARPAnnounce = 1 }, []string{"ARPAnnounces eth0"}},
		"no interface":       {func(h *canned, _ *setup.Spec) { h.Interfaces[1].Audible = false }, []string{"NothingToInspect interfaces"}},
		"MTU":                {func(_ *canned, s *setup.Spec) { s.MTU = 9000 }, []string{"MTUMismatch eth0"}},
		"nobody listens":     {func(h *canned, _ *setup.Spec) { h.Sockets = nil }, []string{"NobodyListens 192.0.2.100 port 104/TCP", "NobodyListens 2001:db8::100 port 104/TCP"}},
		"IPv6 only":          {func(h *canned, _ *setup.Spec) { h.Sockets[0].OnlyIPv6 = true }, []string{"NobodyListens 192.0.2.100 port 104/TCP"}},
		"IPv4 only":          {func(h *canned, _ *setup.Spec) { h.Sockets[0].Address = netip.IPv4Unspecified() }, []string{"NobodyListens 2001:db8::100 port 104/TCP"}},
		"own address only": {func(h *canned, _ *setup.Spec) { h.Sockets[0].Address = netip.MustParseAddr("192.0.2.13") }, []string{
			"NobodyListens 192.0.2.100 port 104/TCP", "NobodyListens 2001:db8::100 port 104/TCP",
		}},
		"redirect with address": {func(h *canned, s *setup.Spec) { s.Method, h.Firewall.Redirected = setup.Redirect, h.Firewall.Guarded }, []string{"VIPOnInterface 192.0.2.100", "VIPOnInterface 2001:db8::100"}},
		"redirect": {func(h *canned, s *setup.Spec) {
			s.Method, s.VIPs, h.Addresses = setup.Redirect, s.VIPs[:1], h.Addresses[1:2]
			h.Interfaces[1].ARPIgnore, h.Sockets[0].Address = 0, netip.MustParseAddr("192.0.2.13")
			h.Firewall = setup.Firewall{Redirected: h.Firewall.Guarded}
		}, nil},
		"not redirected": {func(h *canned, s *setup.Spec) {
			s.Method, s.VIPs, h.Addresses = setup.Redirect, s.VIPs[:1], h.Addresses[1:2]
			h.Sockets[0].Address = netip.MustParseAddr("192.0.2.13")
		}, []string{"VIPNotRedirected 192.0.2.100"}},
		"open":            {func(h *canned, _ *setup.Spec) { h.Firewall.Guarded = h.Firewall.Guarded[1:] }, []string{"UndeclaredPortsAnswer 192.0.2.100"}},
		"firewall unread": {func(h *canned, _ *setup.Spec) { h.Firewall = setup.Firewall{Unreadable: "EPERM"} }, []string{"FirewallUnreadable nftables"}},
		"reboot":          {func(h *canned, _ *setup.Spec) { h.AfterReboot = false }, []string{"NotAfterReboot truepacs-realserver.service"}},
		"agent":           {func(h *canned, _ *setup.Spec) { h.AfterReboot, h.Firewall.ByAgent = false, true }, nil},
		"tunnel": {func(h *canned, s *setup.Spec) {
			s.Method, h.Addresses[0].Interface = setup.Tunnel, "tunl0"
			h.Interfaces = append(h.Interfaces, setup.Interface{Name: "tunl0", MTU: 1480, RPFilter: 1, Up: true}, setup.Interface{Name: "ip6tnl0"})
		}, []string{"StrictRPFilter tunl0", "NoTunnel ip6tnl0"}},
		"tunnel without address": {func(h *canned, s *setup.Spec) {
			s.Method, s.VIPs = setup.Tunnel, s.VIPs[:1]
			h.Interfaces = append(h.Interfaces, setup.Interface{Name: "tunl0", MTU: 1480, RPFilter: 2, Up: true})
		}, []string{"VIPMissing 192.0.2.100"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			host, spec := prepared(), setup.Spec{VIPs: []setup.VIP{virtual("192.0.2.100", 104), virtual("2001:db8::100", 104)}}
			tc.change(&host, &spec)
			found, err := setup.Inspect(t.Context(), spec, host)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range found {
				got = append(got, f.Kind+" "+f.Subject)
				if f.Message == "" || f.Remedy == "" || f.Severity == "" {
					t.Errorf("%+v says nothing", f)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// reboot is always found: this machine's systemd does not start the script.
const reboot = " NotAfterReboot"

// TestInspectTheKernel inspects the server of a site before, after and with each mistake.
func TestInspectTheKernel(t *testing.T) {
	spec := setup.Spec{VIPs: []setup.VIP{virtual("192.0.2.100", 104), virtual("2001:db8::100", 104)}, Interfaces: []string{"eth0"}}
	s := newSite(t, spec)
	inspect := func() string {
		var kinds []string
		var found []setup.Finding
		var err error
		s.server.Do(func() { found, err = setup.Inspect(t.Context(), spec, setup.HostReader{}) })
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			kinds = append(kinds, f.Kind)
		}
		return strings.Join(kinds, " ")
	}
	if got := inspect(); got != "VIPMissing UndeclaredPortsAnswer VIPMissing UndeclaredPortsAnswer VIPAnswersARP ARPAnnounces"+reboot {
		t.Errorf("before: %s", got)
	}
	s.mustRun(t, "--apply")
	if got := inspect(); got != reboot[1:] {
		t.Errorf("after: %s", got)
	}
	for command, want := range map[string]string{
		"echo 0 > /proc/sys/net/ipv4/conf/eth0/arp_ignore": "VIPAnswersARP",
		"nft flush chain inet truepacs_realserver input; nft add rule inet truepacs_realserver input ip daddr 192.0.2.100 tcp dport 104 accept": "UndeclaredPortsAnswer UndeclaredPortsAnswer",
		"nft delete table inet truepacs_realserver":                                                   "UndeclaredPortsAnswer UndeclaredPortsAnswer",
		"ip address del 192.0.2.100/32 dev lo; ip address add 192.0.2.100/32 dev eth0":                "VIPOnInterface VIPMissing",
		"ip address change 2001:db8::100/128 dev lo preferred_lft forever":                            "VIPUsedAsSource",
		"echo 0 > /proc/sys/net/ipv4/conf/eth0/arp_announce; ip address del 2001:db8::100/128 dev lo": "VIPMissing ARPAnnounces",
	} {
		s.server.Run(t, "sh", "-c", command)
		if got := inspect(); got != strings.TrimSpace(want+reboot) {
			t.Errorf("after %q: %s, want %s", command, got, want)
		}
		s.mustRun(t, "--remove")
		s.server.Run(t, "sh", "-c", "ip address del 192.0.2.100/32 dev eth0 2>/dev/null; true")
		s.mustRun(t, "--apply")
	}
	spec.VIPs[0].Ports[0].First, spec.VIPs[1].Ports = 105, []setup.Ports{{Protocol: model.UDP, First: 104}}
	if got := inspect(); got != "NobodyListens NobodyListens"+reboot {
		t.Errorf("for other ports: %s", got)
	}
}
