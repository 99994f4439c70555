package realserver_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/dataplane/realserver"
)

// TestProcShowsTheSettings has /proc/sys as the witness; it is read-only there.
func TestProcShowsTheSettings(t *testing.T) {
	h := realHost(t)
	h.mustSet(t, vip("192.0.2.100", "tp0"))
	want := map[string]string{"tp0/arp_ignore": "1", "tp0/arp_announce": "2", "tp1/arp_ignore": "0", "all/arp_ignore": "0", "all/arp_announce": "0"}
	for name, value := range want {
		path := "/proc/sys/net/ipv4/conf/" + name
		b, err := os.ReadFile(path)
		if err != nil || strings.TrimSpace(string(b)) != value {
			t.Errorf("%s is %q, %v, want %s", name, b, err, value)
		}
		if err := os.WriteFile(path, []byte(value), 0); err == nil {
			t.Errorf("%s is writable: this test does not see what a pod sees", path)
		}
	}
	got := netnstest.Run(t, "ip", "-4", "-o", "address", "show", "dev", "lo")
	if !strings.Contains(got, "inet 192.0.2.100/32 scope host lo:tr") {
		t.Errorf("ip shows %q", got)
	}
}

// TestSilentAboutTheVirtualIP asks by ARP on the wire, first for the virtual IP, then for the
// host's own address: answers come in order.
func TestSilentAboutTheVirtualIP(t *testing.T) {
	h := realHost(t)
	netnstest.Run(t, "ip", "address", "add", "192.0.2.11/24", "dev", "tp0")
	vips, own := netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("192.0.2.11")
	netnstest.Run(t, "ip", "address", "add", "192.0.2.100/32", "dev", "lo")
	if first := firstAnswer(t, vips, own); first != vips {
		t.Fatalf("without the driver the host answers for %s first: the test proves nothing", first)
	}
	netnstest.Run(t, "ip", "address", "del", "192.0.2.100/32", "dev", "lo")
	h.mustSet(t, vip("192.0.2.100", "tp0"))
	if first := firstAnswer(t, vips, own); first != own {
		t.Errorf("the host answers ARP for the virtual IP %s", first)
	}
}

// firstAnswer sends ARP probes from the other end of the cable and returns the first address
// that is answered for.
func firstAnswer(t *testing.T, ask ...netip.Addr) netip.Addr {
	t.Helper()
	conn, mac := listen(t, "tp1", unix.ETH_P_ARP)
	for _, a := range ask {
		request := make([]byte, 28)
		copy(request, []byte{0, 1, 8, 0, 6, 4, 0, 1})
		copy(request[8:], mac)
		copy(request[24:], a.AsSlice())
		if _, err := conn.WriteTo(request, &packet.Addr{HardwareAddr: net.HardwareAddr{255, 255, 255, 255, 255, 255}}); err != nil {
			t.Fatal(err)
		}
	}
	buffer := make([]byte, 1500)
	for {
		n, _, err := conn.ReadFrom(buffer)
		if err != nil {
			t.Fatalf("no answer, not even for the host's own address: %v", err)
		}
		if n >= 28 && buffer[7] == 2 {
			return netip.AddrFrom4([4]byte(buffer[14:18]))
		}
	}
}

func listen(t *testing.T, name string, protocol int) (*packet.Conn, net.HardwareAddr) {
	t.Helper()
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := packet.Listen(ifi, packet.Datagram, protocol, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn, ifi.HardwareAddr
}

// TestAcceptsPacketsToTheVirtualIP sends a datagram over the wire as a director does: to the
// host's MAC address and the virtual IP.
func TestAcceptsPacketsToTheVirtualIP(t *testing.T) {
	h := realHost(t)
	netnstest.Run(t, "ip", "address", "add", "192.0.2.11/24", "dev", "tp0")
	h.mustSet(t, vip("192.0.2.100", "tp0"))
	server, err := net.ListenPacket("udp4", "192.0.2.100:11112")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	server.SetReadDeadline(time.Now().Add(10 * time.Second))
	conn, _ := listen(t, "tp1", unix.ETH_P_IP)
	target, err := net.InterfaceByName("tp0")
	if err != nil {
		t.Fatal(err)
	}
	datagram := datagram("192.0.2.50", "192.0.2.100", 11112, "hello")
	if _, err := conn.WriteTo(datagram, &packet.Addr{HardwareAddr: target.HardwareAddr}); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 100)
	n, from, err := server.ReadFrom(buffer)
	if err != nil || string(buffer[:n]) != "hello" || !strings.HasPrefix(from.String(), "192.0.2.50:") {
		t.Errorf("received %q from %v, %v", buffer[:n], from, err)
	}
}

// datagram builds IPv4 (RFC 791) and UDP (RFC 768, no checksum) headers around data.
func datagram(from, to string, port uint16, data string) []byte {
	b := make([]byte, 28, 28+len(data))
	b[0], b[8], b[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(b[2:], uint16(28+len(data)))
	copy(b[12:], netip.MustParseAddr(from).AsSlice())
	copy(b[16:], netip.MustParseAddr(to).AsSlice())
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum))
	binary.BigEndian.PutUint16(b[20:], 4000)
	binary.BigEndian.PutUint16(b[22:], port)
	binary.BigEndian.PutUint16(b[24:], uint16(8+len(data)))
	return append(b, data...)
}

// TestSettingsOfAnInterfaceThatIsGone asks for an interface number nobody has.
func TestSettingsOfAnInterfaceThatIsGone(t *testing.T) {
	realHost(t)
	if _, err := (realserver.Rtnetlink{}).Get(9999); err == nil {
		t.Error("read settings of an interface that is not there")
	}
	if err := (realserver.Rtnetlink{}).Set(9999, realserver.Values{}); err == nil {
		t.Error("wrote settings of an interface that is not there")
	}
}
