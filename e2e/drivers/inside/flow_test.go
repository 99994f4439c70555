//go:build machine

package inside

import (
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/ipvstest"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// knock sends one SYN with a firewall mark; nobody answers.
func knock(t *testing.T, mark uint32, to string) {
	t.Helper()
	d := net.Dialer{Timeout: 300 * time.Millisecond, Control: func(_, _ string, c syscall.RawConn) (err error) {
		controlled := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(mark)) })
		if controlled != nil {
			return controlled
		}
		return err
	}}
	if conn, err := d.DialContext(t.Context(), "tcp", to); err == nil {
		conn.Close()
		t.Error("somebody answers")
	}
}

func connections(t *testing.T, d *ipvs.Driver, f ipvs.ConnectionFilter) (flows, templates []ipvs.Connection) {
	t.Helper()
	err := d.Connections(t.Context(), f, func(c ipvs.Connection) error {
		if c.Template {
			templates = append(templates, c)
		} else {
			flows = append(flows, c)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return flows, templates
}

// TestPortsAndConnections has a client on the director itself, whose packets IPVS schedules, too. It
// shows to which port IPVS sends what comes to port 104, and how connections are shown.
func TestPortsAndConnections(t *testing.T) {
	k := kernel(t)
	netnstest.Veth(t, "near", "far")
	netnstest.Run(t, "ip", "addr", "add", "192.0.2.1/24", "dev", "near")
	driver := ipvs.New(ipvs.Config{Kernel: k})
	nat := ipvstest.Web()
	nat.Forwarding, nat.Ports = model.NAT, []uint16{104}
	nat.Servers[0].Port = 11112
	if err := driver.Set(t.Context(), []model.VirtualService{nat}); err != nil {
		t.Fatal(err)
	}
	knock(t, nat.Mark, "192.0.2.100:104")
	flows, templates := connections(t, driver, ipvs.ConnectionFilter{Key: nat.Key})
	if len(flows) != 1 || len(templates) != 0 || flows[0].Server != netip.MustParseAddrPort("192.0.2.11:11112") {
		t.Errorf("NAT with a server's port: %+v %+v, want one connection to port 11112", flows, templates)
	}

	sticky := ipvstest.Dicom()
	sticky.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.101")}
	sticky.Forwarding, sticky.Ports, sticky.Servers = model.NAT, []uint16{104}, sticky.Servers[:1]
	service := genl.Service{
		ServiceID: genl.ByMark(sticky.Mark, false), Scheduler: "wlc", Flags: genl.FlagPersistent, TimeoutSeconds: 300, PrefixLength: 24,
	}
	d := genl.Destination{Address: netip.MustParseAddrPort("192.0.2.11:11112"), Weight: 1}
	for _, err := range k.Apply(t.Context(), []genl.Change{
		{Command: genl.NewService, Service: service}, {Command: genl.NewDest, Service: service, Destination: d},
	}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	knock(t, sticky.Mark, "192.0.2.101:104")
	flows, _ = connections(t, driver, ipvs.ConnectionFilter{Virtual: sticky.Addresses[0]})
	if len(flows) != 1 || flows[0].Server.Port() != 104 { // or the driver need not refuse it
		t.Errorf("NAT with a server's port in a persistent service by mark: %+v, want one connection to port 104", flows)
	}
	sticky.Persistence.PrefixLength = 24
	if err := driver.Set(t.Context(), []model.VirtualService{sticky}); err != nil {
		t.Fatal(err)
	}
	knock(t, sticky.Mark, "192.0.2.101:104")
	_, templates = connections(t, driver, ipvs.ConnectionFilter{Key: sticky.Key})
	if len(templates) == 0 || templates[0].Client.Addr() != netip.MustParseAddr("192.0.2.0") {
		t.Errorf("templates %+v, want one of the network 192.0.2.0", templates)
	}
	checkCounted(t, driver)
}

// checkCounted waits for the kernel to sum up, which it does every two seconds.
func checkCounted(t *testing.T, driver *ipvs.Driver) {
	t.Helper()
	for range 40 {
		stats, err := driver.Stats(t.Context())
		if err != nil || len(stats) != 1 || len(stats[0].Servers) != 1 {
			t.Fatalf("%+v, %v", stats, err)
		}
		if c := stats[0].Servers[0].Counters; c.Connections > 0 && c.PacketsIn > 0 && c.BytesIn > 0 {
			t.Logf("%+v", stats[0])
			return
		}
		time.Sleep(250 * time.Millisecond)
	}
	t.Error("nothing is counted")
}
