package realserver_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/announce"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// neighbour is another host on tp2 with an address of both families; the test's host has
// 192.0.2.11 and 2001:db8::11 there.
func neighbour(t *testing.T) (*host, *netnstest.Far) {
	t.Helper()
	h := realHost(t)
	far := netnstest.NewFar(t)
	far.Cable(t, "tp2", "eth0")
	for _, a := range []string{"192.0.2.11/24", "2001:db8::11/64"} {
		netnstest.Run(t, "ip", "address", "add", a, "dev", "tp2", "nodad")
	}
	for _, a := range []string{"192.0.2.50/24", "2001:db8::50/64", "fe80::50/64"} {
		far.Run(t, "ip", "address", "add", a, "dev", "eth0", "nodad")
	}
	return h, far
}

// holders asks from the other host who has an address.
func holders(t *testing.T, far *netnstest.Far, name, address string) string {
	t.Helper()
	var macs []net.HardwareAddr
	var err error
	far.Do(func() {
		prober := announce.Prober{Network: announce.Sockets{}, Count: 2, Interval: 200 * time.Millisecond}
		macs, err = prober.Holders(t.Context(), name, netip.MustParseAddr(address))
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(macs)
}

func macOf(t *testing.T, name string) string {
	t.Helper()
	i, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("[%s]", i.HardwareAddr)
}

// TestSilentAboutIPv6 asks on the wire for an address on lo, as the whole network sees it, and
// looks what the host tells when it is the one who speaks first from the address.
func TestSilentAboutIPv6(t *testing.T) {
	h, far := neighbour(t)
	netnstest.Run(t, "ip", "address", "add", "2001:db8::100/128", "dev", "tp2", "nodad")
	if got := holders(t, far, "eth0", "2001:db8::100"); got != macOf(t, "tp2") {
		t.Fatalf("an address on the interface is answered for by %s: the test proves nothing", got)
	}
	netnstest.Run(t, "ip", "address", "del", "2001:db8::100/128", "dev", "tp2")
	h.mustSet(t, vip("2001:db8::100", "tp2"))
	if got := holders(t, far, "eth0", "2001:db8::100"); got != "[]" {
		t.Errorf("%s answers for the virtual IP", got)
	}
	netnstest.Run(t, "ip", "neigh", "flush", "dev", "tp2")
	reply(t, far)
	if got := far.Run(t, "ip", "neigh", "show", "2001:db8::100"); got != "" {
		t.Errorf("after a reply the other host takes this one for the virtual IP: %q", got)
	}
}

// reply sends a datagram to the virtual IP by the host's MAC and waits for its answer, before
// which the host has to find the neighbour.
func reply(t *testing.T, far *netnstest.Far) {
	t.Helper()
	server, err := net.ListenPacket("udp6", "[2001:db8::100]:11112")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		b := make([]byte, 100)
		if n, from, err := server.ReadFrom(b); err == nil {
			_, _ = server.WriteTo(b[:n], from)
		}
	}()
	far.Run(t, "ip", "route", "add", "2001:db8::100", "via", "2001:db8::11")
	far.Do(func() {
		var conn net.Conn
		if conn, err = net.Dial("udp6", "[2001:db8::100]:11112"); err != nil {
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err = conn.Write([]byte("hello")); err == nil {
			_, err = conn.Read(make([]byte, 100))
		}
	})
	if err != nil {
		t.Fatalf("no answer from the virtual IP: %v", err)
	}
}

// TestTheServerDoesNotSpeakAsTheVIP: the address on lo is not the source of the server's own
// connections.
func TestTheServerDoesNotSpeakAsTheVIP(t *testing.T) {
	h, _ := neighbour(t)
	h.mustSet(t, vip("2001:db8::100", "tp2"))
	conn, err := net.Dial("udp6", "[2001:db8::101]:104")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := conn.LocalAddr().String(); !strings.HasPrefix(got, "[2001:db8::11]") {
		t.Errorf("the server speaks as %s", got)
	}
}

// TestSecondCardOnTheSegment: the host has two interfaces of one network, and the one that does
// not face the director answers for the virtual IP too unless it is silenced.
func TestSecondCardOnTheSegment(t *testing.T) {
	h, far := neighbour(t)
	far.Cable(t, "tp3", "eth1")
	netnstest.Run(t, "ip", "address", "add", "192.0.2.12/24", "dev", "tp3")
	far.Run(t, "ip", "address", "add", "192.0.2.51/24", "dev", "eth1")
	netnstest.Run(t, "ip", "address", "add", "192.0.2.100/32", "dev", "lo")
	if got := holders(t, far, "eth1", "192.0.2.100"); got != macOf(t, "tp3") {
		t.Fatalf("unprepared, %s answers: the test proves nothing", got)
	}
	netnstest.Run(t, "ip", "address", "del", "192.0.2.100/32", "dev", "lo")
	h.mustSet(t, vip("192.0.2.100", "tp2"))
	for _, name := range []string{"eth0", "eth1"} {
		if got := holders(t, far, name, "192.0.2.100"); got != "[]" {
			t.Errorf("%s answers for the virtual IP at %s", got, name)
		}
	}
	if got := holders(t, far, "eth1", "192.0.2.12"); got != macOf(t, "tp3") {
		t.Errorf("for the interface's own address %s answers", got)
	}
}
