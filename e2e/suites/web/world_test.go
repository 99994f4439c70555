package web

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/e2e/peers"
	"github.com/truepacs/balancer/e2e/suite"
)

// Addresses of the host with the front: its own, that of the front, and that of its servers, who are on the same host. Clients
// are, too, so their address is that of the front.
const (
	own    = "192.0.2.2"
	vip    = "192.0.2.100"
	server = "198.51.100.1"
	client = vip
	// clients are more addresses of clients, for those who are to be told apart.
	clients = "198.18.0.0/15"
)

// plan counts mutations; other figures have variables of their own, see hack/soak.
func plan() suite.Plan {
	return suite.Plan{Name: "WEB", Unit: "MUTATIONS", Seed: 6, Count: 300}
}

func TestMain(m *testing.M) { plan().Run(m) }

// newHost is a host with an interface that has a neighbour.
func newHost(t *testing.T) peers.Host {
	t.Helper()
	host := netnstest.NewFar(t)
	host.Run(t, "sh", "-ec", "ip link add eth0 type veth peer name eth1; ip link set eth0 up; ip link set eth1 up;"+
		"ip address add "+own+"/24 dev eth0; ip address add "+server+"/32 dev lo; ip route add local "+clients+" dev lo")
	return peers.Far(host)
}

// front is a front of these listeners.
func front(listeners ...peers.Listener) peers.Front {
	return peers.Front{Address: netip.MustParseAddr(vip), Interface: "eth0", Listeners: listeners}
}

// web is a listener in clear.
func web(name string, port uint16, servers ...netip.AddrPort) peers.Listener {
	return peers.Listener{Name: name, Port: port, Protocol: peers.HTTP, Servers: servers, CheckPath: checkPath}
}

// proxyPeak is the most memory that a process of the proxy of a TruePACS has had, in bytes (VmHWM, proc(5)).
func proxyPeak(t *testing.T, p *peers.Peer) (peak int64) {
	t.Helper()
	u, err := p.Usage()
	suite.Must(t, err)
	for _, pid := range u.Processes {
		argv, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		suite.Must(t, err)
		if words := strings.Split(string(argv), "\x00"); len(words) < 2 || words[1] != "proxy" {
			continue
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		suite.Must(t, err)
		_, after, _ := strings.Cut(string(status), "\nVmHWM:")
		var kib int64
		_, err = fmt.Sscan(after, &kib)
		suite.Must(t, err)
		peak = max(peak, kib<<10)
	}
	if peak == 0 {
		t.Fatal("no process of the proxy was found")
	}
	return peak
}
