package l7

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/e2e/bench/l7/traffic"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/peers"
	"github.com/truepacs/balancer/e2e/suite"
)

// path is how load, front and servers are joined.
type path string

// Paths.
const (
	loopback path = "loopback"
	veth     path = "veth"
)

// variant is a front program as it takes part.
type variant struct {
	name    string
	program peers.Program
	splice  bool
}

var (
	truepacs = variant{"truepacs", peers.TruePACS, false}
	haproxy  = variant{"haproxy", peers.HAProxy, false}
	splicing = variant{"haproxy-splice", peers.HAProxy, true}
	nginx    = variant{"nginx", peers.NGINX, false}
)

func names(variants []variant) (all []string) {
	for _, v := range variants {
		all = append(all, v.name)
	}
	return all
}

// Ports of the servers, each protocol on two, as if they were two servers.
var webPorts, streamPorts = []uint16{8080, 8081}, []uint16{9000, 9001}

// world is where everything stands: the hosts with the load and the servers, and the fronts between them.
type world struct {
	ends          string // the program of both ends
	load, servers *netnstest.Far
	fronts        int // made so far
	// certificate and key by the kind of key.
	ecdsa, rsa [2]string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{ends: filepath.Join(t.TempDir(), "ends"), load: netnstest.NewFar(t), servers: netnstest.NewFar(t)}
	suite.Must(t, lab.BuildStatic(t.Context(), "./e2e/bench/l7/traffic/ends", w.ends))
	small, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	suite.Must(t, err)
	large, err := rsa.GenerateKey(rand.Reader, 2048)
	suite.Must(t, err)
	for pair, key := range map[*[2]string]crypto.Signer{&w.ecdsa: small, &w.rsa: large} {
		pair[0], pair[1] = peers.NewCertificate(t, key)
	}
	connect(t, w.load, "direct", "10.6.0.1/24", w.servers, "direct", "10.6.0.2/24")
	w.serve(t, w.servers)
	return w
}

// connect joins two hosts by a pair of interfaces.
func connect(t *testing.T, a *netnstest.Far, nameA, prefixA string, b *netnstest.Far, nameB, prefixB string) {
	t.Helper()
	var thread int
	b.Do(func() { thread = unix.Gettid() })
	a.Run(t, "sh", "-ec", fmt.Sprintf("ip link add %[1]s type veth peer name %[3]s netns %[4]d; ip address add %[2]s dev %[1]s; ip link set %[1]s up",
		nameA, prefixA, nameB, thread))
	b.Run(t, "sh", "-ec", fmt.Sprintf("ip address add %[2]s dev %[1]s; ip link set %[1]s up", nameB, prefixB))
}

// serve starts the servers on a host.
func (w *world) serve(t *testing.T, on *netnstest.Far) {
	t.Helper()
	args := []string{"serve"}
	for i := range webPorts {
		args = append(args, fmt.Sprint("HTTP=", webPorts[i]), fmt.Sprint("TCP=", streamPorts[i]))
	}
	peers.Launch(t, peers.Far(on), exec.Command(w.ends, args...))
}

// front is a front program on a host of its own.
type front struct {
	variant
	*peers.Peer
	world  *world
	host   *netnstest.Far
	number int
}

// front starts a program. It goes with the test.
func (w *world) front(t *testing.T, v variant) *front {
	t.Helper()
	w.fronts++
	f := &front{variant: v, world: w, host: netnstest.NewFar(t), number: w.fronts}
	connect(t, w.load, fmt.Sprint("load", f.number), f.address(9, 2)+"/24", f.host, "eth0", f.address(9, 1)+"/24")
	connect(t, w.servers, fmt.Sprint("servers", f.number), f.address(8, 2)+"/24", f.host, "eth1", f.address(8, 1)+"/24")
	f.host.Run(t, "ip", "address", "add", f.address(7, 1)+"/32", "dev", "lo")
	w.serve(t, f.host)
	f.Peer = peers.Start(t, peers.Far(f.host), v.program, peers.Front{
		Address: netip.MustParseAddr(f.address(9, 100)), Interface: "eth0", Splice: v.splice,
		Listeners: append(f.listeners(loopback), f.listeners(veth)...),
	})
	return f
}

// address is one of the front's networks: 9 with the load, 8 with the servers, 7 is the front itself.
func (f *front) address(network, host byte) string {
	return netip.AddrFrom4([4]byte{10, network, byte(f.number), host}).String()
}

// listener is one kind of listener of every path.
type listener string

// Listeners.
const (
	stream    listener = "stream"
	web       listener = "web"
	secure    listener = "secure"
	secureRSA listener = "secure-rsa"
)

// port is that of a listener of a path.
func (l listener) port(p path) uint16 {
	base := map[path]uint16{loopback: 1000, veth: 2000}[p]
	return base + map[listener]uint16{stream: 1, web: 2, secure: 3, secureRSA: 4}[l]
}

// listeners are those whose servers are at the end of a path.
func (f *front) listeners(p path) []peers.Listener {
	at := map[path]string{loopback: f.address(7, 1), veth: f.address(8, 2)}[p]
	servers := func(ports []uint16) (all []netip.AddrPort) {
		for _, port := range ports {
			all = append(all, netip.AddrPortFrom(netip.MustParseAddr(at), port))
		}
		return all
	}
	name := func(l listener) string { return fmt.Sprintf("%s-%s", p, l) }
	w := f.world
	return []peers.Listener{
		{Name: name(stream), Port: stream.port(p), Protocol: peers.TCP, Servers: servers(streamPorts)},
		{Name: name(web), Port: web.port(p), Protocol: peers.HTTP, Servers: servers(webPorts)},
		{Name: name(secure), Port: secure.port(p), Protocol: peers.HTTPS, Servers: servers(webPorts), Certificate: w.ecdsa[0], Key: w.ecdsa[1]},
		{Name: name(secureRSA), Port: secureRSA.port(p), Protocol: peers.HTTPS, Servers: servers(webPorts), Certificate: w.rsa[0], Key: w.rsa[1]},
	}
}

// aim has an order go to a listener of the front, by a path.
func (f *front) aim(o traffic.Order, l listener, p path) traffic.Order {
	o.Address = netip.AddrPortFrom(f.Front.Address, l.port(p)).String()
	o.Certificate = map[listener]string{secure: f.world.ecdsa[0], secureRSA: f.world.rsa[0]}[l]
	return o
}

// from is the host that load comes from by a path.
func (f *front) from(p path) *netnstest.Far {
	if p == loopback {
		return f.host
	}
	return f.world.load
}
