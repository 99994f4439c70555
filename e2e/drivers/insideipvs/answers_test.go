//go:build machine

package insideipvs

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/procfs"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// TestAnswers has the kernel refuse in every way that it has, all in one train, in which nothing
// keeps another from being carried out.
func TestAnswers(t *testing.T) {
	c := client(t)
	web := plain(genl.ByMark(0x54000002, false), "rr")
	odd := plain(genl.ByMark(0x54000003, false), "nosuch")
	engine := plain(genl.ByMark(0x54000004, false), "rr")
	engine.Engine = "nosuch"
	d := genl.Destination{Address: at("192.0.2.11:0"), Forward: genl.DirectRoute, Weight: 1}
	other, everybody, mixed, gue := d, d, d, d
	other.Address = at("192.0.2.12:0")
	everybody.Address = at("224.0.0.1:0")
	mixed.Address = at("[2001:db8::11]:0")
	gue.Address, gue.Forward, gue.Tunnel.Type = at("192.0.2.13:0"), genl.Tunnel, genl.GUE
	tests := []struct {
		name   string
		change genl.Change
		want   error
		errno  unix.Errno
	}{
		{"change what is not there", genl.Change{Command: genl.SetService, Service: web}, genl.ErrNoService, unix.ESRCH},
		{"remove what is not there", genl.Change{Command: genl.DelService, Service: web}, genl.ErrNoService, unix.ESRCH},
		{"zero what is not there", genl.Change{Command: genl.Zero, Service: web}, genl.ErrNoService, unix.ESRCH},
		{"server of nothing", genl.Change{Command: genl.NewDest, Service: web, Destination: d}, genl.ErrNoService, unix.ESRCH},
		{"unknown scheduler", genl.Change{Command: genl.NewService, Service: odd}, genl.ErrNoScheduler, unix.ENOENT},
		{"unknown engine", genl.Change{Command: genl.NewService, Service: engine}, genl.ErrNoScheduler, unix.ENOENT},
		{"add", genl.Change{Command: genl.NewService, Service: web}, nil, 0},
		{"add twice", genl.Change{Command: genl.NewService, Service: web}, genl.ErrExists, unix.EEXIST},
		{"add server", genl.Change{Command: genl.NewDest, Service: web, Destination: d}, nil, 0},
		{"add server twice", genl.Change{Command: genl.NewDest, Service: web, Destination: d}, genl.ErrExists, unix.EEXIST},
		{"remove no server", genl.Change{Command: genl.DelDest, Service: web, Destination: other}, genl.ErrNoDestination, unix.ENOENT},
		{"change no server", genl.Change{Command: genl.SetDest, Service: web, Destination: other}, genl.ErrNoDestination, unix.ENOENT},
		{"multicast server", genl.Change{Command: genl.NewDest, Service: web, Destination: everybody}, genl.ErrInvalid, unix.EINVAL},
		{"other family without tunnel", genl.Change{Command: genl.NewDest, Service: web, Destination: mixed}, genl.ErrInvalid, unix.EINVAL},
		{"GUE without port", genl.Change{Command: genl.NewDest, Service: web, Destination: gue}, genl.ErrInvalid, unix.EINVAL},
		{"remove server", genl.Change{Command: genl.DelDest, Service: web, Destination: d}, nil, 0},
		{"remove", genl.Change{Command: genl.DelService, Service: web}, nil, 0},
	}
	changes := make([]genl.Change, 0, len(tests))
	for _, tc := range tests {
		changes = append(changes, tc.change)
	}
	for i, err := range c.Apply(bounded(t), changes) {
		if tc := tests[i]; !errors.Is(err, tc.want) || tc.errno != 0 && !errors.Is(err, tc.errno) {
			t.Errorf("%s: %v, want %v and %v", tc.name, err, tc.want, tc.errno)
		}
		t.Log(err)
	}
	if _, err := c.Destinations(bounded(t), web.ServiceID); !errors.Is(err, genl.ErrNoService) {
		t.Errorf("destinations of a service that is not there: %v", err)
	}
	if got := netnstest.Run(t, "ipvsadm", "-S", "-n"); got != "" {
		t.Errorf("something is left:\n%s", got)
	}
}

// TestWithoutRight has no NET_ADMIN.
func TestWithoutRight(t *testing.T) {
	c := client(t)
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var all, none [2]unix.CapUserData
	if err := unix.Capget(&header, &all[0]); err != nil {
		t.Fatal(err)
	}
	none[0].Permitted = all[0].Permitted // to have them back in the end
	if err := unix.Capset(&header, &none[0]); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Capset(&header, &all[0]) }()
	if _, err := c.Services(bounded(t)); !errors.Is(err, genl.ErrPermission) {
		t.Errorf("read: %v", err)
	}
	err := c.Apply(bounded(t), []genl.Change{{Command: genl.NewService, Service: plain(genl.ByMark(1, false), "rr")}})[0]
	if !errors.Is(err, genl.ErrPermission) || !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "NET_ADMIN") {
		t.Errorf("write: %v", err)
	}
}

// TestTimeouts writes some and has ipvsadm read them.
func TestTimeouts(t *testing.T) {
	c := client(t)
	want := genl.Timeouts{TCP: time.Hour, UDP: 17 * time.Second}
	if err := c.SetTimeouts(bounded(t), want); err != nil {
		t.Fatal(err)
	}
	want.TCPFin = 2 * time.Minute // the kernel's own
	if got, err := c.Timeouts(bounded(t)); got != want || err != nil {
		t.Errorf("%v, want %v, %v", got, want, err)
	}
	if got := netnstest.Run(t, "ipvsadm", "-L", "--timeout"); !strings.Contains(got, "3600 120 17") {
		t.Errorf("ipvsadm says %q", got)
	}
}

// TestDaemons starts and stops both daemons of a namespace; ipvsadm sees them.
func TestDaemons(t *testing.T) {
	c := client(t)
	netnstest.Veth(t, "sync0", "sync1")
	netnstest.Run(t, "ip", "addr", "add", "192.0.2.1/24", "dev", "sync0")
	master := genl.Daemon{Role: genl.Master, Interface: "sync0", SyncID: 42, MaxLength: 1000, Group: at("239.1.2.3:0").Addr(), Port: 9000, TTL: 3}
	backup := genl.Daemon{Role: genl.Backup, Interface: "sync1", SyncID: 42, MaxLength: 1400, Group: at("[ff02::81]:0").Addr(), Port: 9100, TTL: 2}
	for _, d := range []genl.Daemon{master, backup} {
		if err := c.StartDaemon(bounded(t), d); err != nil {
			t.Fatal(err)
		}
		if err := c.StartDaemon(bounded(t), d); !errors.Is(err, genl.ErrExists) {
			t.Errorf("started twice: %v", err)
		}
	}
	got, err := c.Daemons(bounded(t))
	if diff := gocmp.Diff([]genl.Daemon{master, backup}, got, gocmp.Comparer(func(a, b genl.Daemon) bool { return a == b })); diff != "" || err != nil {
		t.Errorf("daemons (-want +got), %v:\n%s", err, diff)
	}
	listing := netnstest.Run(t, "ipvsadm", "-L", "-n", "--daemon")
	t.Log(listing)
	for _, want := range []string{"master sync daemon (mcast=sync0, syncid=42, maxlen=1000, group=239.1.2.3, port=9000, ttl=3)",
		"backup sync daemon (mcast=sync1, syncid=42, maxlen=1400, group=ff02::81, port=9100, ttl=2)"} {
		if !strings.Contains(listing, want) {
			t.Errorf("ipvsadm does not say %q", want)
		}
	}
	stopDaemons(t, c)
}

func stopDaemons(t *testing.T, c *genl.Client) {
	t.Helper()
	for _, role := range []genl.Role{genl.Master, genl.Backup} {
		if err := c.StopDaemon(bounded(t), role); err != nil {
			t.Error(err)
		}
		if err := c.StopDaemon(bounded(t), role); !errors.Is(err, genl.ErrNoDaemon) {
			t.Errorf("stopped twice: %v", err)
		}
	}
	if got, err := c.Daemons(bounded(t)); len(got) != 0 || err != nil {
		t.Errorf("left: %v, %v", got, err)
	}
	if got := netnstest.Run(t, "ipvsadm", "-L", "-n", "--daemon"); strings.Contains(got, "sync daemon") {
		t.Errorf("ipvsadm still sees %s", got)
	}
	err := c.StartDaemon(bounded(t), genl.Daemon{Role: genl.Master, Interface: "absent"})
	if !errors.Is(err, genl.ErrNoInterface) {
		t.Errorf("on no interface: %v", err)
	}
}

// TestCountersAndConnections sends 1 MiB through a service to a server on the same host and looks
// at counters, table and connections, and sets them to zero.
func TestCountersAndConnections(t *testing.T) {
	c := client(t)
	for _, address := range []string{"192.0.2.100/32", "192.0.2.2/32"} {
		netnstest.Run(t, "ip", "addr", "add", address, "dev", "lo")
	}
	s := persistent(plain(genl.ByAddress(genl.TCP, at("192.0.2.100:11112")), "rr"), 300, 32)
	d := genl.Destination{Address: at("192.0.2.2:11112"), Forward: genl.LocalNode, Weight: 1}
	must(t, c, genl.Change{Command: genl.NewService, Service: s}, genl.Change{Command: genl.NewDest, Service: s, Destination: d})
	transfer(t, 1<<20)
	var got genl.Service
	var err error
	for range 100 { // the kernel sums up every two seconds
		if got, err = c.Service(bounded(t), s.ServiceID); err != nil || got.Stats.BytesIn >= 1<<20 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil || got.Stats.Connections != 1 || got.Stats.BytesIn < 1<<20 || got.Stats.PacketsIn == 0 {
		t.Errorf("counters %+v, %v", got.Stats, err)
	}
	found, err := c.Destinations(bounded(t), s.ServiceID)
	if err != nil || len(found) != 1 || found[0].Stats.BytesIn != got.Stats.BytesIn || found[0].Inactive+found[0].Active != 1 || found[0].Persistent != 1 {
		t.Errorf("destinations %+v, %v", found, err)
	}
	if witness := netnstest.Run(t, "ipvsadm", "-L", "-n", "--stats", "--exact"); !strings.Contains(witness, "TCP  192.0.2.100:11112") {
		t.Errorf("ipvsadm says %s", witness)
	} else {
		t.Logf("%+v\n%s", got.Stats, witness)
	}
	checkConnections(t)
	must(t, c, genl.Change{Command: genl.Zero, Service: s})
	if got, err := c.Service(bounded(t), s.ServiceID); err != nil || got.Stats.BytesIn != 0 || got.Stats.Connections != 0 {
		t.Errorf("after zero: %+v, %v", got.Stats, err)
	}
	if err := c.ZeroAll(bounded(t)); err != nil {
		t.Error(err)
	}
}

func transfer(t *testing.T, size int64) {
	t.Helper()
	server, err := net.Listen("tcp4", "192.0.2.100:11112")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	done := make(chan int64, 1)
	go func() {
		conn, err := server.Accept()
		if err != nil {
			done <- -1
			return
		}
		n, _ := io.Copy(io.Discard, conn)
		_ = conn.Close()
		done <- n
	}()
	client, err := net.DialTimeout("tcp4", "192.0.2.100:11112", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	_ = client.(*net.TCPConn).CloseWrite()
	if n := <-done; n != size {
		t.Fatalf("%d bytes arrived", n)
	}
}

func checkConnections(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(procfs.ConnectionsPath)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s:\n%s", procfs.ConnectionsPath, text)
	var connections, templates int
	err = procfs.EachConnection(strings.NewReader(string(text)), func(c *procfs.Connection) error {
		if c.Protocol != "TCP" || c.Virtual != at("192.0.2.100:11112") || c.Destination != at("192.0.2.2:11112") || c.Expires <= 0 {
			t.Errorf("connection %+v", *c)
		}
		if c.Client.Port() == 0 {
			templates++
		} else {
			connections++
		}
		return nil
	})
	if err != nil || connections != 1 || templates != 1 {
		t.Errorf("%d connections and %d templates, want 1 each, %v", connections, templates, err)
	}
}
