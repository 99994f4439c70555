package savings

import (
	"fmt"
	"strings"
)

// Mode is a mode of a virtual service, as a TruePACSBalancer names it, with "L7SNAT" for its
// application TCP.
type Mode string

// The modes.
const (
	DR     Mode = "L4DR"
	Tunnel Mode = "L4Tunnel"
	NAT    Mode = "L4NAT"
	SNAT   Mode = "L4SNAT"
	Layer7 Mode = "L7SNAT"
)

// Modes are all modes in the order of tables.
func Modes() []Mode { return []Mode{DR, Tunnel, NAT, SNAT, Layer7} }

// Ratios are how many bytes of reply there are for a byte of request: storing or C-MOVE between
// equals, what the product page says of viewers, and what it says of retrieval at best.
func Ratios() []int { return []int{1, 8, 50} }

// Addresses: clients are outside, servers inside (RFC 5737), the director and a router on both.
const (
	vip             = "192.0.2.100"
	clientAddress   = "192.0.2.50"
	directorOutside = "192.0.2.2"
	directorInside  = "198.51.100.2"
	routerOutside   = "192.0.2.1"
	routerInside    = "198.51.100.1"
)

// index is the mode's place in Modes.
func (m Mode) index() int {
	for i, other := range Modes() {
		if m == other {
			return i
		}
	}
	return -1
}

// port is that of the mode's service and server.
func (m Mode) port() int { return 7001 + m.index() }

// address is that of the mode's server, name its name.
func (m Mode) address() string { return fmt.Sprintf("198.51.100.%d", 11+m.index()) }

func (m Mode) name() string { return strings.ToLower("pacs-" + string(m)) }

// gateway is the server's default gateway: with NAT replies have to come back through the director.
func (m Mode) gateway() string {
	if m == NAT {
		return directorInside
	}
	return routerInside
}

// manifest is the TruePACSBalancer: a service of each mode with a pool of one server.
func manifest() string {
	var pools, services strings.Builder
	for _, m := range Modes() {
		fmt.Fprintf(&pools, "  - {name: %s, servers: [{name: %s, address: %s}]}\n", m.name(), m.name(), m.address())
		fmt.Fprintf(&services, "  - {name: %s, virtualIPs: [main], mode: %s, ports: [%d], serverPool: %s", m.name(), m, m.port(), m.name())
		if m == Layer7 {
			services.WriteString(", layer7: {application: TCP}")
		}
		services.WriteString("}\n")
	}
	return `apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata: {name: savings}
spec:
  directors: {peers: [{name: lb1}]}
  virtualIPs: [{name: main, address: ` + vip + `}]
  serverPools:
` + pools.String() + "  virtualServices:\n" + services.String()
}
