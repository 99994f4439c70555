package modes

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// narrowMTU is the largest packet between the clients and the lan, in bytes.
const narrowMTU = 1400

// server is a real server.
type server struct {
	name               string
	mode               v1alpha1.Mode
	network            string
	address4, address6 string
	gateway4, gateway6 string
}

// servers: two for each mode, each of one mode only, so that what one has learnt about paths does
// not help another mode.
var servers = []server{
	{"dr-a", v1alpha1.ModeL4DR, "lan", "192.0.2.11", "2001:db8:1::11", "192.0.2.1", "2001:db8:1::1"},
	{"dr-b", v1alpha1.ModeL4DR, "lan", "192.0.2.12", "2001:db8:1::12", "192.0.2.1", "2001:db8:1::1"},
	{"tun-a", v1alpha1.ModeL4Tunnel, "remote", "198.51.100.11", "2001:db8:2::11", "198.51.100.1", "2001:db8:2::1"},
	{"tun-b", v1alpha1.ModeL4Tunnel, "remote", "198.51.100.12", "2001:db8:2::12", "198.51.100.1", "2001:db8:2::1"},
	{"nat-a", v1alpha1.ModeL4NAT, "lan", "192.0.2.13", "2001:db8:1::13", "192.0.2.254", "2001:db8:1::fe"},
	{"nat-b", v1alpha1.ModeL4NAT, "inside", "10.0.0.11", "2001:db8:10::11", "10.0.0.1", "2001:db8:10::1"},
	{"snat-a", v1alpha1.ModeL4SNAT, "inside", "10.0.0.21", "2001:db8:10::21", "", ""},
	{"snat-b", v1alpha1.ModeL4SNAT, "inside", "10.0.0.22", "2001:db8:10::22", "", ""},
}

func (s server) prefixes() []string { return []string{s.address4 + "/24", s.address6 + "/64"} }

// own is the server's address of the family of another one.
func (s server) own(other netip.Addr) netip.Addr {
	if other.Is4() {
		return address(s.address4)
	}
	return address(s.address6)
}

// address reads an address; none is the zero value.
func address(text string) netip.Addr {
	if text == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(text)
}

func findServer(name string) server {
	for _, s := range servers {
		if s.name == name {
			return s
		}
	}
	return server{}
}

func serversOf(mode v1alpha1.Mode) []server {
	var found []server
	for _, s := range servers {
		if s.mode == mode {
			found = append(found, s)
		}
	}
	return found
}

// virtualIP is an address of all services.
type virtualIP struct{ name, address string }

// virtualIPs: the first two are on the lan, the others on a network that no host but the router has.
var virtualIPs = []virtualIP{
	{"near4", "192.0.2.100"}, {"near6", "2001:db8:1::100"}, {"far4", "198.18.0.100"}, {"far6", "2001:db8:18::100"},
}

var gateways = []struct{ virtualIP, nic string }{
	{"192.0.2.254", "eth0"}, {"2001:db8:1::fe", "eth0"}, {"10.0.0.1", "eth1"}, {"2001:db8:10::1", "eth1"},
}

var modes = []v1alpha1.Mode{v1alpha1.ModeL4DR, v1alpha1.ModeL4Tunnel, v1alpha1.ModeL4NAT, v1alpha1.ModeL4SNAT}

// portOf is the port of a mode's services, TCP and UDP alike.
func portOf(mode v1alpha1.Mode) uint16 {
	for i, m := range modes {
		if m == mode {
			return uint16(7001 + i)
		}
	}
	return 0
}

// manifest is what a user would write: one director, all modes, defaults but for the scheduler.
func manifest() string {
	var b strings.Builder
	b.WriteString("apiVersion: lb.truepacs.io/v1alpha1\nkind: TruePACSBalancer\nmetadata: {name: modes}\nspec:\n  directors: {peers: [{name: lb1}]}\n  virtualIPs:\n")
	var names []string
	for _, v := range virtualIPs {
		fmt.Fprintf(&b, "  - {name: %s, address: %q, interfaces: [eth0]}\n", v.name, v.address)
		names = append(names, v.name)
	}
	for i, g := range gateways {
		fmt.Fprintf(&b, "  - {name: gateway%d, address: %q, role: Gateway, interfaces: [%s]}\n", i, g.virtualIP, g.nic)
	}
	b.WriteString("  serverPools:\n")
	for _, mode := range modes {
		fmt.Fprintf(&b, "  - name: %s\n    servers:\n", strings.ToLower(string(mode)))
		for _, s := range serversOf(mode) {
			fmt.Fprintf(&b, "    - {name: %s, address: %q}\n    - {name: %s-6, address: %q}\n", s.name, s.address4, s.name, s.address6)
		}
		fmt.Fprintf(&b, "    healthChecks: [{type: TCP, port: %d}]\n", portOf(mode))
	}
	b.WriteString("  virtualServices:\n")
	for _, mode := range modes {
		for _, protocol := range []v1alpha1.Protocol{v1alpha1.ProtocolTCP, v1alpha1.ProtocolUDP} {
			fmt.Fprintf(&b, "  - {name: %s-%s, virtualIPs: [%s], mode: %s, protocol: %s, ports: [%d], serverPool: %s, layer4: {scheduler: RoundRobin}}\n",
				strings.ToLower(string(mode)), strings.ToLower(string(protocol)), strings.Join(names, ", "), mode, protocol, portOf(mode), strings.ToLower(string(mode)))
		}
	}
	return b.String()
}
