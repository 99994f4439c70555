package announce_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/announce"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// wire is a cable between tp0, the announcer's end, and tp1, where whole frames are read.
func wire(t *testing.T) *packet.Conn {
	t.Helper()
	netnstest.Enter(t)
	netnstest.Veth(t, "tp0", "tp1")
	netnstest.Run(t, "ip", "link", "set", "tp0", "address", "02:00:00:00:00:01")
	far, err := net.InterfaceByName("tp1")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := packet.Listen(far, packet.Raw, unix.ETH_P_ARP, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func frame(t *testing.T, conn *packet.Conn) []byte {
	t.Helper()
	b := make([]byte, 1514)
	n, _, err := conn.ReadFrom(b)
	if err != nil {
		t.Fatalf("no frame on the wire: %v", err)
	}
	return b[:n]
}

// TestFramesOnTheWire reads whole frames at the other end of a cable.
func TestFramesOnTheWire(t *testing.T) {
	conn := wire(t)
	schedule := announce.Schedule{Burst: []time.Duration{0, 10 * time.Millisecond, 20 * time.Millisecond}, Retry: time.Second}
	a := announce.New(announce.Config{Network: announce.Sockets{}, Schedule: schedule})
	defer a.Close()
	if err := a.Set(t.Context(), []model.VirtualIP{vip("192.0.2.100", "tp0")}); err != nil {
		t.Fatal(err)
	}
	request := []byte{
		255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6, // to everybody, from tp0, ARP
		0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 0, 2, 100, 0, 0, 0, 0, 0, 0, 192, 0, 2, 100,
	}
	reply := bytes.Clone(request)
	reply[21] = 2
	copy(reply[32:], []byte{2, 0, 0, 0, 0, 1})
	for i := range 3 {
		for _, want := range [][]byte{request, reply} {
			if got := frame(t, conn); !bytes.Equal(got, want) {
				t.Fatalf("announcement %d:\ngot  %x\nwant %x", i+1, got, want)
			}
		}
	}
}

// TestProbeOnTheWire asks a kernel that has the address on tp1. The host's own MAC addresses are
// passed over, so the kernel's answer must be told from ours: its interface is in this namespace
// too and the network is told that it is not.
func TestProbeOnTheWire(t *testing.T) {
	conn := wire(t)
	netnstest.Run(t, "ip", "address", "add", "192.0.2.100/32", "dev", "tp1")
	netnstest.Run(t, "ip", "link", "set", "tp1", "address", "02:00:00:00:00:99")
	prober := announce.Prober{Network: stranger{}, Interval: 10 * time.Second}
	mac, err := prober.Probe(t.Context(), "tp0", netip.MustParseAddr("192.0.2.100"))
	if err != nil || mac.String() != "02:00:00:00:00:99" {
		t.Errorf("got %v, %v", mac, err)
	}
	want := []byte{
		255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6,
		0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 2, 100,
	}
	if got := frame(t, conn); !bytes.Equal(got, want) {
		t.Errorf("the probe on the wire:\ngot  %x\nwant %x", got, want)
	}
}

var broadcast = announce.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// stranger is the host's network, of whose interfaces only tp0 counts as the host's own.
type stranger struct{ announce.Sockets }

func (s stranger) OwnMACs() ([]announce.MAC, error) {
	i, err := s.Interface("tp0")
	return []announce.MAC{i.MAC}, err
}

func TestOwnInterfacesDoNotCount(t *testing.T) {
	wire(t)
	netnstest.Run(t, "ip", "address", "add", "192.0.2.100/32", "dev", "tp1")
	prober := announce.Prober{Network: announce.Sockets{}, Count: 1, Interval: 50 * time.Millisecond}
	if mac, err := prober.Probe(t.Context(), "tp0", netip.MustParseAddr("192.0.2.100")); mac != nil || err != nil {
		t.Errorf("got %v, %v", mac, err)
	}
}

func TestReceiveEndsWithItsContext(t *testing.T) {
	wire(t)
	port, err := announce.Sockets{}.Open("tp0", announce.ARP, &announce.Listen{})
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, _, err := port.Receive(ctx, make([]byte, 64)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestSendOnlyPortsHearNothing: their buffers must not fill up with the network's ARP.
func TestSendOnlyPortsHearNothing(t *testing.T) {
	conn := wire(t)
	deaf, err := announce.Sockets{}.Open("tp1", announce.ARP, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	near, err := announce.Sockets{}.Open("tp0", announce.ARP, &announce.Listen{})
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	if err := near.Send(broadcast, announce.Packet{Operation: announce.Request, SenderMAC: macA, SenderIP: asked, TargetIP: asked}.Append(nil)); err != nil {
		t.Fatal(err)
	}
	frame(t, conn) // it has arrived
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if n, _, err := deaf.Receive(ctx, make([]byte, 64)); err == nil {
		t.Errorf("received %d bytes", n)
	}
}

func TestInterfacesOfTheKernel(t *testing.T) {
	wire(t)
	netnstest.Run(t, "ip", "link", "set", "tp0", "down")
	i, err := announce.Sockets{}.Interface("tp0")
	if err != nil || i.Up || i.MAC != macA || i.Index == 0 {
		t.Errorf("tp0: %+v, %v", i, err)
	}
	for _, name := range []string{"lo", "absent"} {
		if _, err := (announce.Sockets{}).Interface(name); !errors.Is(err, announce.ErrNoInterface) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNetworkOfAMoment answers as the kernel does, and does not ask it again.
func TestNetworkOfAMoment(t *testing.T) {
	netnstest.Enter(t)
	netnstest.Veth(t, "tp0", "tp1")
	netnstest.Run(t, "ip", "address", "add", "192.0.2.2/24", "dev", "tp0")
	once := announce.Once(announce.Sockets{})
	want, err := announce.Sockets{}.Interface("tp0")
	if err != nil {
		t.Fatal(err)
	}
	got, err := once.Interface("tp0")
	if err != nil || !cmp.Equal(got, want, cmpopts.EquateComparable(netip.Prefix{})) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	all, err := announce.Sockets{}.OwnMACs()
	if err != nil {
		t.Fatal(err)
	}
	netnstest.Run(t, "ip", "link", "add", "tp7", "type", "bridge")
	netnstest.Run(t, "ip", "address", "add", "192.0.2.3/24", "dev", "tp0")
	if again, err := once.Interface("tp0"); err != nil || len(again.Addresses) != len(got.Addresses) {
		t.Errorf("reads again: %+v, %v", again, err)
	}
	if macs, err := once.OwnMACs(); err != nil || !cmp.Equal(macs, all) {
		t.Errorf("got %v, %v, want %v", macs, err, all)
	}
	for _, name := range []string{"tp7", "lo"} {
		if _, err := once.Interface(name); !errors.Is(err, announce.ErrNoInterface) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if mac, err := (announce.Prober{Network: once, Count: 1, Interval: 50 * time.Millisecond}).Probe(t.Context(), "tp0", netip.MustParseAddr("192.0.2.9")); mac != nil || err != nil {
		t.Errorf("%v, %v", mac, err)
	}
	fake := fakeNetwork()
	if announce.Once(fake) != announce.Network(fake) {
		t.Error("a network in memory is another one")
	}
}
