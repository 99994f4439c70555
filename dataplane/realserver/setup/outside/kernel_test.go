package outside_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/dataplane/realserver/setup"
	"github.com/truepacs/balancer/dataplane/realserver/setup/outside"
)

// listen accepts connections in the host until the test ends, or close is called.
func listen(t *testing.T, host *netnstest.Far, address string) (closed func()) {
	t.Helper()
	var l net.Listener
	var err error
	host.Do(func() { l, err = net.Listen("tcp", address) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return func() { _ = l.Close() }
}

// TestInspectARealServer breaks a server on a real network, step by step.
func TestInspectARealServer(t *testing.T) {
	netnstest.Enter(t)
	server := netnstest.NewFar(t)
	server.Cable(t, "port0", "eth0")
	netnstest.Run(t, "ip", "address", "add", "192.0.2.2/24", "dev", "port0")
	netnstest.Run(t, "ip", "address", "add", "2001:db8::2/64", "dev", "port0", "nodad")
	server.Run(t, "ip", "address", "add", "192.0.2.13/24", "dev", "eth0")
	server.Run(t, "ip", "address", "add", "2001:db8::13/64", "dev", "eth0", "nodad")
	closed := listen(t, server, ":104")
	spec := specOf(setup.Ports{Protocol: model.TCP, First: 104})
	spec.VIPs = append(spec.VIPs, setup.VIP{Address: netip.MustParseAddr("2001:db8::100"), Ports: spec.VIPs[0].Ports})
	for _, step := range []struct{ name, command, want string }{
		{"unprepared", "true", "VIPMissing VIPMissing"},
		{"without its address it forwards", "sysctl -qw net.ipv4.ip_forward=1", "VIPMissing VIPMissing"},
		{"answers ARP", "ip address add 192.0.2.100/32 dev lo", "VIPAnswersARP UndeclaredPortsAnswer VIPMissing"},
		{"silent", "sysctl -qw net.ipv4.conf.eth0.arp_ignore=1 net.ipv4.conf.eth0.arp_announce=2", "UndeclaredPortsAnswer VIPMissing"},
		{"both families", "ip address add 2001:db8::100/128 dev lo nodad", "UndeclaredPortsAnswer UndeclaredPortsAnswer"},
		{"guarded", "nft 'table inet t { chain c { type filter hook input priority 0; tcp dport != 104 drop; }; }'", ""},
		{"on the card, where IPv6 answers", "ip address add 2001:db8::100/128 dev eth0 nodad", "VIPAnswersARP"},
	} {
		server.Run(t, "sh", "-c", step.command)
		if got := inspect(t, spec); got != step.want {
			t.Errorf("%s: %q, want %q", step.name, got, step.want)
		}
	}
	closed()
	if got := inspect(t, spec); got != "NobodyListens VIPAnswersARP NobodyListens" {
		t.Errorf("nobody listens: %q", got)
	}
	if _, err := outside.On(netip.MustParseAddr("198.51.100.1")); err == nil {
		t.Error("a server of another network has a segment")
	}
}

func inspect(t *testing.T, spec setup.Spec) string {
	t.Helper()
	server := netip.MustParseAddr("192.0.2.13")
	segment, err := outside.On(server)
	if err != nil {
		t.Fatal(err)
	}
	segment.Patience = 60 * time.Millisecond
	found, err := outside.Inspect(t.Context(), spec, server, segment)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, f := range found {
		kinds = append(kinds, f.Kind)
	}
	return strings.Join(kinds, " ")
}
