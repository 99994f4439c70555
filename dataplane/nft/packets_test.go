package nft_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/drain"
	"github.com/truepacs/balancer/dataplane/drain/provoke"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/dataplane/nft"
)

const (
	vip4, vip6     = "192.0.2.100", "2001:db8::100"
	plain4, plain6 = "192.0.2.2", "2001:db8::2"
)

// TestPacketsGetTheirMarks sends one packet of each kind over a wire and counts them by mark
// behind our chains.
func TestPacketsGetTheirMarks(t *testing.T) {
	k := realKernel(t)
	netnstest.Veth(t, "tp0", "tp1")
	netnstest.Veth(t, "tp2", "tp3")
	peer, err := net.InterfaceByName("tp2")
	if err != nil {
		t.Fatal(err)
	}
	all := everything()
	all.PeerMACs, all.Guarded, all.Resets = []net.HardwareAddr{peer.HardwareAddr}, nil, nil
	mustDo(t, k, all)
	kinds := []struct {
		from, to string
		protocol byte
		port     uint16
		mark     string
	}{
		{"tp0", vip4, 6, 104, "0x54000001"}, {"tp0", vip4, 6, 2000, "0x54000001"}, {"tp0", vip4, 6, 2500, "0x54000001"},
		{"tp0", vip4, 6, 5000, "0x54000001"}, {"tp0", "192.0.2.101", 17, 514, "0x54000001"},
		{"tp0", vip6, 17, 104, "0x54000001"}, {"tp0", vip6, 17, 3000, "0x54000001"},
		{"tp0", vip4, 6, 1999, "0"}, {"tp0", vip4, 6, 3001, "0"}, {"tp0", vip4, 17, 104, "0"}, {"tp0", "192.0.2.101", 6, 104, "0"},
		{"tp0", vip6, 6, 104, "0"}, {"tp0", vip6, 17, 3001, "0"}, {"tp0", "192.0.2.101", 17, 515, "0"},
		{"tp2", vip4, 6, 105, "0"}, {"tp2", vip4, 6, 104, "0"}, {"tp2", vip4, 6, 2501, "0"}, {"tp2", vip6, 17, 104, "0"},
	}
	witness := "table inet witness {\nchain prerouting {\ntype filter hook prerouting priority filter;\n"
	for _, p := range kinds {
		family := "ip6"
		if strings.Contains(p.to, ".") {
			family = "ip"
		}
		witness += strings.Join([]string{"iifname", far(p.from), family, "daddr", p.to, "meta l4proto",
			netip.AddrFrom4([4]byte{3: p.protocol}).String()[6:], "th dport", number(p.port), "meta mark", p.mark, "counter\n"}, " ")
	}
	netnstest.Run(t, "nft", witness+"}\n}")
	for _, p := range kinds {
		sendPacket(t, p.from, far(p.from), netip.MustParseAddr(p.to), p.protocol, p.port)
	}
	out := netnstest.Run(t, "nft", "list", "table", "inet", "witness")
	if got := strings.Count(out, "packets 1 "); got != len(kinds) {
		t.Errorf("%d of %d kinds of packets have their marks:\n%s", got, len(kinds), out)
	}
	counted, err := nft.New(nft.Config{Kernel: k}).Ports(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, p := range counted {
		if p.Packets > 0 && p.Bytes >= 20*p.Packets {
			got[fmt.Sprintf("%s %s %d-%d %#x", p.Address, p.Protocol, p.First, p.Last, p.Mark)] = p.Packets
		}
	}
	want := map[string]uint64{
		vip4 + " TCP 104-104 0x54000001": 1, vip4 + " TCP 2000-3000 0x54000001": 2, vip4 + " TCP 4000-5000 0x54000001": 1,
		"192.0.2.101 UDP 514-514 0x54000001": 1, vip6 + " UDP 104-104 0x54000001": 1, vip6 + " UDP 2000-3000 0x54000001": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ports that have counted packets (-want +got):\n%s", diff)
	}
}

// far is the other end of the cable.
func far(nic string) string { return map[string]string{"tp0": "tp1", "tp2": "tp3"}[nic] }

func number(port uint16) string {
	return netip.AddrPortFrom(netip.IPv4Unspecified(), port).String()[8:]
}

// TestConnectionTracking has connections to services of each way of forwarding on one host that
// tracks connections: its table has those of NAT and SNAT only.
func TestConnectionTracking(t *testing.T) {
	k := realKernel(t)
	client := newNeighbour(t)
	holdVIPs(t, vip4, vip6)
	ways := map[uint16]model.Forwarding{1104: model.DirectRouting, 1105: model.Tunnel, 1106: model.NAT, 1107: model.SNAT}
	var desired nft.Desired
	for port, way := range ways {
		for _, vip := range []string{vip4, vip6} {
			s := service(vip+string(way), 0x54000000+uint32(port), []string{vip}, port)
			s.PortRanges = []model.PortRange{{First: port + 1000, Last: port + 1000}, {First: port * 10, Last: port*10 + 5}}
			s.Forwarding = way
			desired.Services = append(desired.Services, s)
		}
	}
	mustDo(t, k, desired)
	for _, vip := range []string{vip4, vip6} {
		for port := range ways {
			listen(t, net.JoinHostPort(vip, number(port)))
			listen(t, net.JoinHostPort(vip, number(port*10+3)))
			for _, p := range []uint16{port, port*10 + 3} {
				if err := exchange(client.dial(t, net.JoinHostPort(vip, number(p)))); err != nil {
					t.Errorf("%s port %d: %v", vip, p, err)
				}
			}
		}
	}
	for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		listed, err := netlink.ConntrackTableList(netlink.ConntrackTable, family)
		if err != nil {
			t.Fatal(err)
		}
		tracked := map[uint16]bool{}
		for _, f := range listed {
			tracked[f.Forward.DstPort], tracked[f.Forward.SrcPort] = true, true
		}
		for port, way := range ways {
			want := way == model.NAT || way == model.SNAT
			if tracked[port] != want || tracked[port*10+3] != want {
				t.Errorf("family %d, ports of %s: tracked %v and %v, want %v", family, way, tracked[port], tracked[port*10+3], want)
			}
		}
	}
}

// TestGuard scans a host whose every port has a listener on all addresses.
func TestGuard(t *testing.T) {
	k := realKernel(t)
	client := newNeighbour(t)
	holdVIPs(t, vip4, vip6)
	l4 := service("l4", 0x54000001, []string{vip4}, 1104)
	l4.PortRanges = []model.PortRange{{First: 1150, Last: 1152}}
	mustDo(t, k, nft.Desired{
		Services: []model.VirtualService{l4},
		Guarded:  addresses(vip4, vip6),
		Declared: []model.Match{
			{Addresses: addresses(vip4), Protocol: model.TCP, Ports: []uint16{1443}},
			{Addresses: addresses(vip6), Protocol: model.TCP, Ports: []uint16{1443}, PortRanges: []model.PortRange{{First: 1160, Last: 1161}}},
		},
	})
	var ports []uint16
	for port := uint16(1100); port < 1170; port++ {
		ports = append(ports, port)
		listen(t, ":"+number(port))
	}
	listen(t, ":1443")
	ports = append(ports, 1443, 1444) // nobody listens on 1444
	scans := map[string][]uint16{
		vip4: {1104, 1150, 1151, 1152, 1443}, vip6: {1160, 1161, 1443}, plain4: ports[:len(ports)-1], plain6: ports[:len(ports)-1],
	}
	for address, open := range scans {
		want := map[string][]uint16{"open": open}
		closed := "silent"
		if address == plain4 || address == plain6 {
			closed = "refused"
		}
		for _, port := range ports {
			if !slices.Contains(open, port) {
				want[closed] = append(want[closed], port)
			}
		}
		if diff := cmp.Diff(want, client.scan(t, netip.MustParseAddr(address), ports)); diff != "" {
			t.Errorf("scan of %s (-want +got):\n%s", address, diff)
		}
	}
	counters, err := nft.New(nft.Config{Kernel: k}).Counters(t.Context())
	if err != nil || counters.Guarded < uint64(len(ports)*2-8) {
		t.Errorf("counters %+v, %v", counters, err)
	}
	client.do(func() {
		netnstest.Run(t, "ip", "-6", "neigh", "flush", "dev", "tp1") // NDP has to work again
		for _, vip := range []string{vip4, vip6} {
			netnstest.Run(t, "ping", "-c", "1", "-W", "20", vip)
		}
	})
}

// TestGuardOfDatagrams: what is not declared is not delivered, and answers to the host itself are.
func TestGuardOfDatagrams(t *testing.T) {
	k := realKernel(t)
	client := newNeighbour(t)
	holdVIPs(t, vip4, vip6)
	desired := nft.Desired{Guarded: addresses(vip4, vip6)}
	for _, vip := range []string{vip4, vip6} {
		desired.Declared = append(desired.Declared, model.Match{Addresses: addresses(vip), Protocol: model.UDP, Ports: []uint16{1514}})
	}
	mustDo(t, k, desired)
	for _, to := range []struct{ vip, client string }{{vip4, "192.0.2.50"}, {vip6, "2001:db8::50"}} {
		declared, hidden := datagrams(t, to.vip, 1514), datagrams(t, to.vip, 1515)
		var asked net.PacketConn
		client.do(func() {
			asked = datagrams(t, to.client, 1123)
			for _, port := range []uint16{1515, 1514} {
				// Larger than a packet, so that fragments come.
				if _, err := asked.WriteTo(make([]byte, 4000), address(to.vip, port)); err != nil {
					t.Error(err)
				}
			}
		})
		receive(t, declared, "declared port")
		refuse(t, hidden, "port that is not declared")
		own := datagrams(t, to.vip, 40123)
		if _, err := own.WriteTo([]byte{2}, address(to.client, 1123)); err != nil {
			t.Fatal(err)
		}
		receive(t, asked, "neighbour that is asked")
		if _, err := asked.WriteTo([]byte{3}, address(to.vip, 40123)); err != nil {
			t.Fatal(err)
		}
		receive(t, own, "host that has asked")
	}
}

func address(ip string, port uint16) net.Addr {
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), port))
}

func datagrams(t *testing.T, ip string, port uint16) net.PacketConn {
	conn, err := net.ListenPacket("udp", address(ip, port).String())
	if err != nil {
		t.Error(err)
		t.FailNow()
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func receive(t *testing.T, conn net.PacketConn, who string) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, _, err := conn.ReadFrom(make([]byte, 10)); err != nil {
		t.Errorf("%s gets nothing: %v", who, err)
	}
}

// refuse checks that nothing has come, after something that was sent later has.
func refuse(t *testing.T, conn net.PacketConn, who string) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, _, err := conn.ReadFrom(make([]byte, 10)); err == nil {
		t.Errorf("%s gets a datagram", who)
	}
}

// TestGuardKeepsConnectionsOfTheHost: one that comes from the virtual address, and one to its own.
func TestGuardKeepsConnectionsOfTheHost(t *testing.T) {
	k := realKernel(t)
	client := newNeighbour(t)
	holdVIPs(t, vip4, vip6)
	mustDo(t, k, nft.Desired{Guarded: addresses(vip4, vip6)})
	for vip, other := range map[string]string{vip4: "192.0.2.50", vip6: "2001:db8::50"} {
		client.do(func() { listen(t, net.JoinHostPort(other, "8042")) })
		dialer := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(vip)}}
		conn, err := dialer.Dial("tcp", net.JoinHostPort(other, "8042"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := exchange(conn); err != nil {
			t.Errorf("from %s: %v", vip, err)
		}
	}
}

// TestResets ends one of two connections of a client, at both ends: one that speaks, and one that is
// silent and has to be made to answer.
func TestResets(t *testing.T) {
	k := realKernel(t)
	client := newNeighbour(t)
	client.checksummed(t)
	holdVIPs(t, vip4, vip6)
	for _, vip := range []string{vip4, vip6} {
		endOne(t, k, client, vip, false)
		endOne(t, k, client, vip, true)
	}
}

func endOne(t *testing.T, k nft.Kernel, client *neighbour, vip string, silent bool) {
	t.Logf("%s, silent: %t", vip, silent)
	quiet := net.ListenConfig{KeepAlive: -1} // a client that is gone would reset what the server asks
	l, err := quiet.Listen(t.Context(), "tcp", net.JoinHostPort(vip, "1104"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	to := l.Addr().String()
	ended, endedServer := pair(t, l, client, to)
	kept, keptServer := pair(t, l, client, to)
	go echo(keptServer)
	driver := nft.New(nft.Config{Kernel: k})
	reset := flow(ended.LocalAddr().String(), to)
	if err := driver.Set(t.Context(), nft.Desired{Resets: []nft.Flow{reset}}); err != nil {
		t.Fatal(err)
	}
	if silent {
		disturb(t, drain.Flow{Client: reset.Client, Virtual: reset.VIP})
	} else if _, err := ended.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]net.Conn{"client": ended, "server": endedServer} {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the %s's end of the connection to be reset: %v", name, err)
		}
	}
	if err := exchange(kept); err != nil {
		t.Errorf("the other connection: %v", err)
	}
	counters, err := driver.Counters(t.Context())
	if err != nil || counters.Reset == 0 {
		t.Errorf("counters %+v, %v", counters, err)
	}
	if got := netnstest.Run(t, "nft", "list", "table", "inet", "truepacs"); !strings.Contains(got, " timeout 2m expires ") {
		t.Errorf("the reset would not end by itself:\n%s", got)
	}
}

// disturb provokes two answers: one tells the server, the next the client. Linux answers what is out
// of place twice a second.
func disturb(t *testing.T, flow drain.Flow) {
	t.Helper()
	for range 2 {
		if err := provoke.All(t.Context(), []drain.Flow{flow}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(600 * time.Millisecond)
	}
}

// pair opens a connection and returns both ends of it.
func pair(t *testing.T, l net.Listener, client *neighbour, to string) (near, far net.Conn) {
	t.Helper()
	near = client.dial(t, to)
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	return near, far
}

// TestClamp looks at what a client may send after it has heard the server's offer.
func TestClamp(t *testing.T) {
	k := realKernel(t)
	client := newNeighbour(t)
	holdVIPs(t, vip4, vip6)
	const timestamps = 12 // bytes of an option in each segment (RFC 7323)
	for _, tc := range []struct {
		address string
		clamp   uint16
		want    int
	}{
		{vip4, 1000, 1000 - timestamps}, {vip6, 1100, 1100 - timestamps},
		{vip4, 9000, 1460 - timestamps}, {plain4, 0, 1460 - timestamps}, {plain6, 0, 1440 - timestamps},
	} {
		desired := nft.Desired{Clamps: []nft.Clamp{clamp(vip4, 1000), clamp(vip6, 1100)}}
		if tc.clamp != 0 {
			desired.Clamps = []nft.Clamp{clamp(tc.address, tc.clamp)}
		}
		mustDo(t, k, desired)
		l, err := net.Listen("tcp", net.JoinHostPort(tc.address, "0"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if got := segmentSize(t, client.dial(t, l.Addr().String())); got != tc.want {
			t.Errorf("%s with clamp %d: segments of %d bytes, want %d", tc.address, tc.clamp, got, tc.want)
		}
	}
}

func segmentSize(t *testing.T, conn net.Conn) int {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info *unix.TCPInfo
	if e := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return int(info.Snd_mss)
}
