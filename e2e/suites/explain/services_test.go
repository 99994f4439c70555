package explain

import (
	"fmt"
	"strings"
)

// tried is a virtual service of which clients are asked about.
type tried struct {
	port int
	// pool is hashed, whose servers are changed between phases, or counted.
	pool     string
	protocol string
	layer4   string
	// chance: which server is not to be foretold; the servers named are.
	chance bool
	// few clients come again and again, so that they are remembered.
	few bool
}

// services are all that clients are tried at, by name.
func services() map[string]tried {
	hash := func(port int, scheduler, more string) tried {
		return tried{port: port, pool: "hashed", layer4: "scheduler: " + scheduler + more}
	}
	count := func(port int, scheduler string) tried {
		return tried{port: port, pool: "counted", layer4: "scheduler: " + scheduler}
	}
	udp := func(t tried) tried { t.protocol = "UDP"; return t }
	few := func(t tried) tried { t.few = true; return t }
	chance := func(t tried) tried { t.chance = true; return t }
	const withPort = ", hashInput: SourceAddressAndPort"
	return map[string]tried{
		"sh": hash(7001, "SourceHash", ""), "sh-port": hash(7002, "SourceHash", withPort),
		"mh": hash(7003, "MaglevHash", ""), "mh-port": hash(7004, "MaglevHash", withPort),
		"sh-udp": udp(hash(7001, "SourceHash", withPort)), "mh-udp": udp(hash(7003, "MaglevHash", withPort)),
		"mh-packet": udp(hash(7005, "MaglevHash", ", udpScheduling: Packet")),
		"wlc":       count(7011, "WeightedLeastConnection"), "lc": count(7012, "LeastConnection"),
		"sed": count(7013, "ShortestExpectedDelay"), "nq": count(7014, "NeverQueue"),
		"fo": count(7015, "WeightedFailover"), "ovf": count(7016, "WeightedOverflow"),
		"wlc-udp": udp(count(7011, "WeightedLeastConnection")),
		"rr":      chance(count(7017, "RoundRobin")), "wrr": chance(count(7018, "WeightedRoundRobin")),
		"kept":     few(chance(count(7021, "WeightedRoundRobin, persistence: {timeoutSeconds: 3600, clientPrefixLength: 24}"))),
		"kept-udp": few(udp(chance(count(7022, "RoundRobin, persistence: {timeoutSeconds: 3600}")))),
		"kept-mh":  few(hash(7023, "MaglevHash", ", persistence: {timeoutSeconds: 3600, clientPrefixLength: 24}")),
	}
}

const (
	vip4, vip6 = "192.0.2.100", "2001:db8:1::100"
	// downPort is a service none of whose servers is up, strayPort no service.
	downPort, strayPort = 7031, 7099
)

// hashedState is how the servers of pool hashed are in a phase.
type hashedState struct{ a, b, c string }

// manifest is two balancers: one for each pool, since a balancer has at most 16 services.
func manifest(s hashedState) string {
	return balancer("hashed", s, [3]int{100, 70, 30}) + "---\n" + balancer("counted", hashedState{}, [3]int{3, 2, 1})
}

func balancer(pool string, s hashedState, weights [3]int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata: {name: %[1]s}
spec:
  directors:
    peers: [{name: lb1}]
    layer4Timeouts: {tcpSeconds: 7200, tcpFinSeconds: 7200, udpSeconds: 7200}
  virtualIPs: [{name: v4, address: %[2]s}, {name: v6, address: "%[3]s"}]
  serverPools:
  - name: %[1]s
    healthChecks: [{type: TCP, port: 7000, periodSeconds: 5}]
    servers:
`, pool, vip4, vip6)
	for i, state := range []string{s.a, s.b, s.c} {
		if state == "" {
			state = "Active"
		}
		for _, family := range []string{"192.0.2.%d", `"2001:db8:1::%d"`} {
			suffix := map[bool]string{true: "6"}[strings.Contains(family, ":")]
			fmt.Fprintf(&b, "    - {name: pacs-%c%s, address: %s, weight: %d, state: %s}\n",
				'a'+i, suffix, fmt.Sprintf(family, 11+i), weights[i], state)
		}
	}
	b.WriteString("  - name: dead\n    healthChecks: [{type: TCP, port: 6999}]\n    servers: [{name: pacs-a, address: 192.0.2.11}, {name: pacs-a6, address: \"2001:db8:1::11\"}]\n")
	b.WriteString("  virtualServices:\n")
	for _, name := range names() {
		if t := services()[name]; t.pool == pool {
			fmt.Fprintf(&b, "  - {name: %s, virtualIPs: [v4, v6], mode: L4DR, protocol: %s, ports: [%d], serverPool: %s, layer4: {%s}}\n",
				name, t.transport(), t.port, pool, t.layer4)
		}
	}
	if pool == "counted" {
		fmt.Fprintf(&b, "  - {name: down, virtualIPs: [v4, v6], mode: L4DR, ports: [%d], serverPool: dead, layer4: {scheduler: MaglevHash}}\n", downPort)
	}
	return b.String()
}

func (t tried) transport() string {
	if t.protocol == "" {
		return "TCP"
	}
	return t.protocol
}
