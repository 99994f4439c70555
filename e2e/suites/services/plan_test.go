package services

import (
	"fmt"
	"strings"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/e2e/site"
)

// Ports of the services, one story each. The check of a service is at its port and checkOffset more.
const (
	fallbackPort   = 7001
	failoverPort   = 7002
	groupPort      = 7003
	otherGroupPort = 7004
	thresholdPort  = 7005
	slowStartPort  = 7006
	useAllPort     = 7007
	refusePort     = 7008
	externalPort   = 7010
	agentPort      = 7011
	viaPort        = 7012
	firstPort      = 7020 // of the range
	lastPort       = 7029
	otherPort      = 7040 // of the other balancer
	checkOffset    = 2000
	agentAt        = 9911
)

// Figures of the manifest.
const (
	holdDownSeconds  = 6
	slowStartSeconds = 18
	most             = 4 // connections of the server with a limit
	fewest           = 2
)

// Virtual IPs, the second of the other balancer.
const (
	vip      = site.VIP
	otherVIP = "192.0.2.101"
)

// addresses of the servers by name. standby is reached by NAT and has the director as its only way;
// bare is no host of the product's: its virtual IP was put there by hand.
var addresses = map[string]string{
	"pacs-a": "192.0.2.11", "pacs-b": "192.0.2.12", "pacs-c": "192.0.2.13", "standby": "192.0.2.14", "bare": "192.0.2.15",
}

// manifest is what an administrator would write, with the state of pacs-b in the pool of the ranges.
func manifest(state v1alpha1.AdminState) string {
	var pools, services strings.Builder
	pool := func(name, servers, rest string) {
		fmt.Fprintf(&pools, "  - {name: %s, servers: [%s]%s}\n", name, servers, rest)
	}
	service := func(name string, port int, pool, layer4 string) {
		fmt.Fprintf(&services, "  - {name: %s, virtualIPs: [main], mode: L4DR, ports: [%d], serverPool: %s, layer4: {%s}}\n", name, port, pool, layer4)
	}
	checked := func(port int) string {
		return fmt.Sprintf(", healthChecks: [{type: TCP, port: %d}]", port+checkOffset)
	}
	both := entry("pacs-a", "") + ", " + entry("pacs-b", "")
	pool("fallback", both, ", fallbackServers: ["+entry("standby", ", mode: L4NAT")+"]"+checked(fallbackPort))
	pool("failover", entry("pacs-a", ", weight: 300")+", "+entry("pacs-b", ", weight: 200")+", "+entry("pacs-c", ", weight: 100"), checked(failoverPort))
	pool("group", both, "")
	pool("threshold", entry("pacs-a", fmt.Sprintf(", maxConnections: %d, minConnections: %d", most, fewest))+", "+entry("pacs-b", ""), "")
	pool("slowstart", both, fmt.Sprintf(", slowStartSeconds: %d", slowStartSeconds)+checked(slowStartPort))
	pool("useall", both, checked(useAllPort))
	pool("refuse", both, checked(refusePort))
	pool("external", both, ", healthChecks: [{type: External, external: {name: archive.sh}}]")
	pool("agent", both, fmt.Sprintf(", healthChecks: [{type: Agent, agent: {port: %d}}]", agentAt))
	pool("via", entry("pacs-a", "")+", "+entry("bare", ""), ", healthChecks: [{type: TCP, via: VirtualIP}]")
	pool("range", entry("pacs-a", "")+", "+entry("pacs-b", ", state: "+string(state)), fmt.Sprintf(", healthChecks: [{type: TCP, port: %d}]", firstPort))

	const roundRobin = "scheduler: RoundRobin"
	service("fallback", fallbackPort, "fallback", roundRobin)
	service("failover", failoverPort, "failover", fmt.Sprintf("scheduler: WeightedFailover, failback: {holdDownSeconds: %d}", holdDownSeconds))
	service("group", groupPort, "group", roundRobin+", persistence: {group: archive}")
	service("other-group", otherGroupPort, "group", roundRobin+", persistence: {group: archive}")
	service("threshold", thresholdPort, "threshold", roundRobin)
	service("slowstart", slowStartPort, "slowstart", "scheduler: WeightedRoundRobin")
	service("useall", useAllPort, "useall", roundRobin+", whenAllServersDown: UseAllServers")
	service("refuse", refusePort, "refuse", roundRobin+", whenAllServersDown: Refuse")
	service("external", externalPort, "external", roundRobin)
	service("agent", agentPort, "agent", "scheduler: WeightedRoundRobin")
	service("via", viaPort, "via", roundRobin)
	for _, protocol := range []v1alpha1.Protocol{v1alpha1.ProtocolTCP, v1alpha1.ProtocolUDP} {
		fmt.Fprintf(&services, "  - {name: range-%s, virtualIPs: [main], mode: L4DR, protocol: %s, portRanges: [{first: %d, last: %d}], serverPool: range, layer4: {%s}}\n",
			strings.ToLower(string(protocol)), protocol, firstPort, lastPort, roundRobin)
	}
	return balancer("radiology", "tcpSeconds: 1800, tcpFinSeconds: 30, udpSeconds: 60", vip, pools.String(), services.String())
}

// otherManifest is a balancer that asks for other idle timeouts.
func otherManifest() string {
	return balancer("cardiology", "tcpSeconds: 900, tcpFinSeconds: 45, udpSeconds: 90", otherVIP,
		fmt.Sprintf("  - {name: other, servers: [%s]}\n", entry("pacs-a", "")),
		fmt.Sprintf("  - {name: other, virtualIPs: [main], mode: L4DR, ports: [%d], serverPool: other}\n", otherPort))
}

// largest are the timeouts of both manifests that have to be in force.
const largest = "1800 45 90"

func balancer(name, timeouts, vip, pools, services string) string {
	return fmt.Sprintf(`apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata: {name: %s}
spec:
  directors: {peers: [{name: lb1}], layer4Timeouts: {%s}}
  virtualIPs: [{name: main, address: %s}]
  serverPools:
%s  virtualServices:
%s`, name, timeouts, vip, pools, services)
}

func entry(name, rest string) string {
	return fmt.Sprintf("{name: %s, address: %s%s}", name, addresses[name], rest)
}
