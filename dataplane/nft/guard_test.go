package nft_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/health/direct"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/dataplane/nft"
	"github.com/truepacs/balancer/dataplane/preflight"
)

// guarded declares ports of both virtual addresses.
func guarded(ports ...uint16) nft.Desired {
	d := nft.Desired{Guarded: addresses(vip4, vip6)}
	if len(ports) > 0 {
		d.Declared = []model.Match{{Addresses: d.Guarded, Protocol: model.TCP, Ports: ports}}
	}
	return d
}

// plainOf is the host's own address of a family and a port at which nobody listens.
func plainOf(vip netip.Addr) netip.AddrPort {
	if vip.Is6() {
		return netip.MustParseAddrPort("[" + plain6 + "]:9")
	}
	return netip.MustParseAddrPort(plain4 + ":9")
}

// TestGuardOfEveryKindOfPacket sends packets of every kind to ports at which nobody listens, at which
// a program of the host listens on all addresses, and which are declared.
func TestGuardOfEveryKindOfPacket(t *testing.T) {
	k := realKernel(t)
	client := newNeighbour(t)
	client.checksummed(t)
	holdVIPs(t, vip4, vip6)
	listen(t, ":1101")
	mustDo(t, k, guarded(1104))
	const answersOf = 3 // to a closed port that is asked with no reset
	for _, vip := range addresses(vip4, vip6) {
		for kind, flags := range netnstest.Scans() {
			if got := client.probe(t, vip, []uint16{1100, 1101, 1102, 1104}, flags, plainOf(vip)); len(got) != 1 || got[1104]&netnstest.RST == 0 {
				t.Errorf("%s: with %s, ports answer %v (flags by port), want a reset from 1104 alone", vip, kind, got)
			}
			own := plainOf(vip).Addr()
			if got := client.probe(t, own, []uint16{1100, 1102, 1104}, flags, netip.AddrPortFrom(vip, 1104)); len(got) != answersOf {
				t.Errorf("%s: with %s, ports answer %v: the test does not see", own, kind, got)
			}
		}
		if got := client.probe(t, plainOf(vip).Addr(), []uint16{1101}, netnstest.ACK, netip.AddrPortFrom(vip, 1104)); len(got) != 1 {
			t.Errorf("%s: nobody listens, the test does not see", vip)
		}
	}
}

// TestGuardKeepsWhatIsEstablished: connections of a port that is declared no more, whose listener has
// ended, and of one that never was declared, go on; also with another driver, as after a restart.
func TestGuardKeepsWhatIsEstablished(t *testing.T) {
	k := realKernel(t)
	client := newNeighbour(t)
	holdVIPs(t, vip4, vip6)
	var kept []net.Conn
	for _, vip := range []string{vip4, vip6} {
		for _, at := range []string{net.JoinHostPort(vip, "1443"), ":1444"} {
			l, err := net.Listen("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			_, port, _ := net.SplitHostPort(at)
			near, far := pair(t, l, client, net.JoinHostPort(vip, port))
			go echo(far)
			kept = append(kept, near)
			_ = l.Close()
		}
		own := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(vip)}}
		other := map[string]string{vip4: "192.0.2.50", vip6: "2001:db8::50"}[vip]
		if _, err := own.Dial("tcp", net.JoinHostPort(other, "9")); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("from %s to a closed port: %v", vip, err)
		}
	}
	for name, d := range map[string]nft.Desired{"adopted": guarded(1443), "taken away": guarded(), "another shape": services(web)} {
		d.Guarded = addresses(vip4, vip6)
		mustDo(t, k, d)
		for _, c := range kept {
			if err := exchange(c); err != nil {
				t.Errorf("%s: connection to %s: %v", name, c.RemoteAddr(), err)
			}
		}
	}
}

// TestPortsThatClose: what is left of connections to a port that is no longer declared is told that
// they are over; new ones are not, and other ports keep silent.
func TestPortsThatClose(t *testing.T) {
	k := realKernel(t)
	client := newNeighbour(t)
	client.checksummed(t)
	holdVIPs(t, vip4, vip6)
	gone := service("gone", 0x54000001, []string{vip4}, 1104)
	gone.PortRanges = []model.PortRange{{First: 2000, Last: 2010}}
	before := guarded(1105, 1107)
	before.Services = []model.VirtualService{gone}
	driver := nft.New(nft.Config{Kernel: k})
	set := func(d nft.Desired) {
		t.Helper()
		if err := driver.Set(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	want := func(when, vip string, ports ...uint16) {
		t.Helper()
		a := netip.MustParseAddr(vip)
		all := []uint16{1104, 1105, 1106, 2005, 2011}
		got := client.probe(t, a, all, netnstest.ACK, plainOf(a))
		for _, port := range ports {
			if got[port]&netnstest.RST == 0 {
				t.Errorf("%s, %s port %d: a connection that is over is not reset", when, vip, port)
			}
		}
		if len(got) != len(ports) {
			t.Errorf("%s, %s: ports answer %v (flags by port), want %v", when, vip, got, ports)
		}
		if got := client.probe(t, a, []uint16{1104, 1105, 2005}, netnstest.SYN, plainOf(a)); when != "declared" && len(got) > 0 {
			t.Errorf("%s, %s: new connections are answered at %v", when, vip, got)
		}
	}
	set(before)
	want("declared", vip4, 1104, 1105, 2005)
	set(guarded(1107)) // without services the table has another shape, and is made anew
	want("service and listener gone", vip4, 1104, 1105, 2005)
	want("service and listener gone", vip6, 1105)
	driver = nft.New(nft.Config{Kernel: k})
	set(guarded(1107))
	set(guarded()) // without declared ports, from a driver that has to look
	k.writes = 0
	set(guarded())
	k.wantWrites(t, 0)
	want("after a restart", vip4, 1104, 1105, 2005)
	netnstest.Run(t, "nft", "flush set inet truepacs closing4; flush set inet truepacs closingranges4; flush set inet truepacs closing6")
	want("later", vip4)
	want("later", vip6)
	set(guarded(1105))
	if out := netnstest.Run(t, "nft", "list set inet truepacs closing4"); strings.Contains(out, "1105") {
		t.Errorf("a port that is open is closing:\n%s", out)
	}
}

// TestRangesThatClose: ranges of ports close that overlap others which do so already.
func TestRangesThatClose(t *testing.T) {
	k := realKernel(t)
	ranges := func(all ...model.PortRange) nft.Desired {
		d := nft.Desired{Guarded: addresses(vip4)}
		if len(all) > 0 {
			d.Declared = []model.Match{{Addresses: d.Guarded, Protocol: model.TCP, PortRanges: all}}
		}
		return d
	}
	steps := []struct {
		declared []model.PortRange
		closing  []string
	}{
		{[]model.PortRange{{First: 10, Last: 20}, {First: 30, Last: 40}, {First: 50, Last: 50}}, nil},
		{[]model.PortRange{{First: 15, Last: 35}}, []string{"10-20", "30-40", "50"}},
		{nil, []string{"10-40", "50"}},
		{[]model.PortRange{{First: 1, Last: 60}}, []string{"10-40", "50"}},
		{nil, []string{"1-60"}},
		{[]model.PortRange{{First: 1, Last: 60}}, nil},
	}
	for i, tc := range steps {
		mustDo(t, k, ranges(tc.declared...))
		out := netnstest.Run(t, "nft", "list set inet truepacs closing4") + netnstest.Run(t, "nft", "list set inet truepacs closingranges4")
		if got := strings.Count(out, " timeout 1h"); got != len(tc.closing) {
			t.Errorf("step %d: %d elements are closing, want %v:\n%s", i, got, tc.closing, out)
		}
		for _, ports := range tc.closing {
			// nft knows the protocol's name where there is /etc/protocols.
			if !strings.Contains(out, ". tcp . "+ports+" timeout") && !strings.Contains(out, ". 6 . "+ports+" timeout") {
				t.Errorf("step %d: %s is not closing:\n%s", i, ports, out)
			}
		}
	}
}

// withoutSockets is a kernel that lacks the module nft_socket.
type withoutSockets struct{ nft.Kernel }

func (k withoutSockets) Apply(ctx context.Context, name string, t nft.Transaction) error {
	if t.Rebuild != nil && t.Rebuild.Guard && !t.Rebuild.Lax {
		return syscall.ENOENT
	}
	return k.Kernel.Apply(ctx, name, t)
}

// TestKernelWithoutSockets: there only first packets are guarded, and nothing is written twice.
func TestKernelWithoutSockets(t *testing.T) {
	k := realKernel(t)
	client := newNeighbour(t)
	client.checksummed(t)
	holdVIPs(t, vip4, vip6)
	listen(t, ":1101")
	for range 2 { // the second one has just started
		driver := nft.New(nft.Config{Kernel: withoutSockets{k}})
		for range 2 {
			if err := driver.Set(t.Context(), guarded(1104)); err != nil {
				t.Fatal(err)
			}
		}
	}
	k.wantWrites(t, 1)
	a := netip.MustParseAddr(vip4)
	if got := client.probe(t, a, []uint16{1101, 1102}, netnstest.SYN, plainOf(a)); len(got) > 0 {
		t.Errorf("ports answer first packets: %v", got)
	}
	if got := client.probe(t, a, []uint16{1101, 1102}, netnstest.ACK, plainOf(a)); len(got) != 2 {
		t.Errorf("ports answer others: %v", got)
	}
}

// TestAlteredLookupOfSockets: the library does not read such expressions.
func TestAlteredLookupOfSockets(t *testing.T) {
	k := realKernel(t)
	mustDo(t, k, guarded(1104))
	before := listed(t)
	_, handle, found := strings.Cut(netnstest.Run(t, "nft", "-a", "list chain inet truepacs guard"), "socket transparent 1 accept # handle ")
	handle, _, _ = strings.Cut(handle, "\n")
	if !found {
		t.Fatal("there is no such rule")
	}
	netnstest.Run(t, "nft", "replace rule inet truepacs guard handle "+handle+" tcp flags != syn / syn,ack socket wildcard 1 accept")
	if listed(t) == before {
		t.Fatal("nothing was altered")
	}
	mustDo(t, k, guarded(1104))
	if listed(t) != before {
		t.Error("the altered rule was not noticed")
	}
}

// TestAnswersToTheSurvey: a director asks a server that has the virtual address, with and without
// accept_local. The answer comes from an address of the director itself: nothing is to be sent in reply,
// no counter moves, and what shows a server whose gateway is the director is still seen. Checks on the
// way through the virtual address, and clients on the director, get their answers.
func TestAnswersToTheSurvey(t *testing.T) {
	for _, accept := range []bool{false, true} {
		t.Run("accept_local "+strconv.FormatBool(accept), func(t *testing.T) { answersToTheSurvey(t, accept) })
	}
}

func answersToTheSurvey(t *testing.T, accept bool) {
	k := realKernel(t)
	if accept {
		acceptLocal(t)
	}
	server := newNeighbour(t)
	server.checksummed(t)
	holdVIPs(t, vip4, vip6)
	director, err := net.InterfaceByName("tp0")
	if err != nil {
		t.Fatal(err)
	}
	var mac net.HardwareAddr
	server.do(func() {
		nic, err := net.InterfaceByName("tp1")
		if err != nil {
			t.Error(err)
			return
		}
		mac = nic.HardwareAddr
		for _, vip := range []string{vip4 + "/32", vip6 + "/128"} {
			netnstest.Run(t, "ip", "addr", "add", vip, "dev", "lo", "nodad")
		}
		// The server is prepared: it does not ask for the director in the virtual address's name.
		for _, own := range []string{plain4, plain6} {
			netnstest.Run(t, "ip", "neigh", "add", own, "lladdr", director.HardwareAddr.String(), "dev", "tp1", "nud", "permanent")
		}
		listen(t, ":1104")
	})
	four, six := service("four", 0x54000001, []string{vip4}, 1104), service("six", 0x54000002, []string{vip6}, 1104)
	four.Forwarding, six.Forwarding = model.DirectRouting, model.DirectRouting
	desired := services(four, six)
	desired.Guarded = addresses(vip4, vip6)
	mustDo(t, k, desired)
	driver := nft.New(nft.Config{Kernel: k})
	for vip, own := range map[string]string{vip4: plain4, vip6: plain6} {
		to := netip.AddrPortFrom(netip.MustParseAddr(vip), 1104)
		way := preflight.Way{Interface: "tp0", From: netip.MustParseAddr(own), MAC: mac}
		for range 3 {
			if yes, err := (preflight.Host{}).Accepts(t.Context(), way, to); !yes || err != nil {
				t.Errorf("the server takes packets to %s: %t, %v", to, yes, err)
			}
		}
		checkThrough(t, to, map[string]string{vip4: "192.0.2.50", vip6: "2001:db8::50"}[vip])
	}
	ports, err := driver.Ports(t.Context())
	if err != nil || len(ports) != 2 {
		t.Fatal(ports, err)
	}
	for _, p := range ports {
		if p.Packets != 0 {
			t.Errorf("%s port %d has counted %d packets, and no client sent any", p.Address, p.First, p.Packets)
		}
	}
	seen, err := driver.Seen(t.Context())
	if err != nil || !sees(seen, vip4, mac) || !sees(seen, vip6, mac) {
		t.Errorf("replies that came here: %+v, %v", seen.Through, err)
	}
	if counters, err := driver.Counters(t.Context()); err != nil || counters.Guarded != 0 {
		t.Errorf("counters %+v, %v", counters, err)
	}
	// The director is a server too, and its programs are clients.
	for vip, own := range map[string]string{vip4: plain4, vip6: plain6} {
		listen(t, net.JoinHostPort(vip, "1104"))
		listen(t, net.JoinHostPort(own, "1104"))
		for _, way := range [][2]string{{vip, vip}, {own, vip}, {vip, own}} {
			dialer := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(way[0])}}
			conn, err := dialer.Dial("tcp", net.JoinHostPort(way[1], "1104"))
			if err == nil {
				err = errors.Join(exchange(conn), conn.Close())
			}
			if err != nil {
				t.Errorf("a client on the director itself, %s to %s: %v", way[0], way[1], err)
			}
		}
	}
}

// acceptLocal has the test's host take packets that come from its own addresses. A thread that sees
// /proc/sys as it is writes the setting.
func acceptLocal(t *testing.T) {
	t.Helper()
	namespace, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
	if err != nil {
		t.Fatal(err)
	}
	defer namespace.Close()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and ends with the goroutine
		err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = os.WriteFile("/proc/sys/net/ipv4/conf/all/accept_local", []byte("1"), 0)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := netnstest.Run(t, "cat", "/proc/sys/net/ipv4/conf/all/accept_local"); got != "1\n" {
		t.Fatalf("accept_local is %q", got)
	}
}

func sees(seen nft.Seen, vip string, mac net.HardwareAddr) bool {
	for _, r := range seen.Through {
		if r.VIP.String() == vip && r.MAC.String() == mac.String() {
			return true
		}
	}
	return false
}

// checkThrough is a health check that goes through the virtual address, to one server.
func checkThrough(t *testing.T, vip netip.AddrPort, server string) {
	t.Helper()
	dialer, err := direct.New(direct.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer dialer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := dialer.DialVia(ctx, vip, netip.MustParseAddr(server))
	if err == nil {
		err = errors.Join(exchange(conn), conn.Close())
	}
	if err != nil {
		t.Errorf("a check of %s through %s: %v", server, vip, err)
	}
}
