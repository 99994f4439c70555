package savings

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/testutil/printed"
	"github.com/truepacs/balancer/e2e/flow"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

const (
	directorProgram = "/usr/local/bin/truepacs"
	// wholeFrames has a host send no packet that is longer than the wire's, for hardware to cut:
	// interfaces would count it as one.
	wholeFrames = "ip link set dev %s gso_max_segs 1"
)

// world is the director, a client on one side and the servers on the other.
type world struct {
	t        *testing.T
	director *lab.Machine
	client   *lab.Namespace
	host     *emulator
	printed  printed.Text
}

func newWorld(t *testing.T) *world {
	t.Helper()
	program, err := site.Program()
	suite.Must(t, err)
	l, err := lab.New(lab.Options{Name: "savings", Log: t.Logf})
	suite.Must(t, err)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	outside, err := l.Network("outside")
	suite.Must(t, err)
	inside, err := l.Network("inside")
	suite.Must(t, err)
	w := &world{t: t}
	w.director, err = l.Machine("lb1", lab.MachineSpec{
		NICs:  []lab.NIC{nic(outside, directorOutside, ""), nic(inside, directorInside, "")},
		Tools: []string{"ip", "ipvsadm", "nft"}, Files: map[string]string{directorProgram: program},
		Disk: 256, MemoryMB: 1024, CPUs: 2,
	})
	suite.Must(t, err)
	_, err = l.Router("router", nic(outside, routerOutside, ""), nic(inside, routerInside, ""))
	suite.Must(t, err)
	w.client, err = l.Namespace("client", nic(outside, clientAddress, ""))
	suite.Must(t, err)
	w.run(w.client, fmt.Sprintf(wholeFrames, "eth0"))
	for _, m := range Modes() {
		server, err := l.Namespace(m.name(), nic(inside, m.address(), m.gateway()))
		suite.Must(t, err)
		w.prepare(m, server, program)
	}
	w.startDirector()
	w.host, err = findEmulator(l.Dir(), "lb1")
	suite.Must(t, err)
	return w
}

func nic(network *lab.Network, address, gateway string) lab.NIC {
	n := lab.NIC{Network: network, Addresses: lab.Prefixes(address + "/24")}
	if gateway != "" {
		n.Gateway = netip.MustParseAddr(gateway)
	}
	return n
}

// prepare makes a host the server of a mode. The product prepares the one for direct routing.
func (w *world) prepare(m Mode, server *lab.Namespace, program string) {
	w.t.Helper()
	w.run(server, fmt.Sprintf(wholeFrames, "eth0"))
	l, err := server.Listen(w.t.Context(), "tcp4", fmt.Sprintf("0.0.0.0:%d", m.port()))
	suite.Must(w.t, err)
	serving := flow.Serve(l)
	w.t.Cleanup(func() { _ = serving.Close() })
	switch m {
	case DR:
		w.agent(server, program, m.name())
	case Tunnel:
		w.endTunnel(server)
	}
}

// endTunnel gives a server the virtual address and an end of the tunnel. Clients are told to send
// segments that fit into it.
func (w *world) endTunnel(server *lab.Namespace) {
	w.t.Helper()
	var end *tunnelEnd
	suite.Must(w.t, server.Enter(func() (err error) { end, err = newTunnelEnd(); return err }))
	stop, failed := make(chan struct{}), make(chan error, 1)
	go func() { failed <- end.run(stop) }()
	w.t.Cleanup(func() {
		close(stop)
		if err := end.close(); err != nil {
			w.t.Error(err)
		}
		if err := <-failed; err != nil {
			w.t.Error(err)
		}
	})
	w.run(server, `set -e
cd /proc/sys/net/ipv4/conf
echo 1 > all/arp_ignore
echo 2 > all/arp_announce
ip link set `+tunnelDevice+` up
echo 0 > all/rp_filter
echo 0 > `+tunnelDevice+`/rp_filter
ip addr add `+vip+`/32 dev lo
ip route replace default via `+routerInside+` advmss 1440`)
}

// startDirector starts the product and waits until each mode works.
func (w *world) startDirector() {
	w.t.Helper()
	w.run(w.director, strings.Join([]string{
		fmt.Sprintf(wholeFrames, "eth0"), fmt.Sprintf(wholeFrames, "eth1"), "echo 1 > /proc/sys/net/ipv4/ip_forward",
	}, " && "))
	w.agent(w.director, directorProgram, "lb1")
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Minute)
	defer cancel()
	for _, m := range Modes() {
		err := site.Until(ctx, string(m), func() error {
			ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
			defer cancel()
			_, err := flow.Retrieve(ctx, w.dial(m), flow.Retrieval{Requests: 1, RequestBytes: 100_000, ReplyBytes: 100_000})
			return err
		})
		if err != nil {
			w.explain()
			w.t.Fatal(err)
		}
	}
}

// agent starts the product on a host.
func (w *world) agent(host lab.Host, program, node string) {
	w.t.Helper()
	suite.Must(w.t, host.Put(w.t.Context(), site.ManifestDir+"/savings.yaml", strings.NewReader(manifest()), 0o600))
	_, err := host.Start(w.t.Context(), lab.ProcessSpec{
		Argv: []string{program, "run", "-f", site.ManifestDir, "--node", node}, Stdout: &w.printed, Stderr: &w.printed,
	})
	suite.Must(w.t, err)
}

// explain prints what helps to understand why a mode does not work.
func (w *world) explain() {
	w.t.Helper()
	w.t.Log(w.printed.String())
	for _, command := range []string{"ipvsadm -Ln", "ipvsadm -Lnc", "nft list ruleset", "ip -s address", directorProgram + " status"} {
		out, err := w.director.Run(context.WithoutCancel(w.t.Context()), "sh", "-c", command)
		w.t.Logf("%s: %v\n%s%s", command, err, out.Stdout, out.Stderr)
	}
}

func (w *world) run(host lab.Host, command string) {
	w.t.Helper()
	result, err := host.Run(w.t.Context(), "sh", "-c", command)
	suite.Must(w.t, err)
	if result.ExitCode != 0 {
		w.t.Fatalf("%s: %s: %s%s", host.Name(), command, result.Stdout, result.Stderr)
	}
}

func (w *world) dial(m Mode) flow.Dial {
	return func(ctx context.Context) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		return w.client.Dial(ctx, "tcp", fmt.Sprintf("%s:%d", vip, m.port()))
	}
}
