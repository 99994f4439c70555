package nft_test

import (
	"cmp"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/dataplane/nft"
)

// first is a packet that opens a connection.
func first(to netip.Addr, protocol byte, port uint16) []byte {
	b, transport := segment6(to, protocol, port), 40
	if to.Is4() {
		b, transport = segment(to, protocol, port), 20
	}
	if protocol == 6 {
		b[transport+13] = 0x02 // SYN
	}
	return b
}

// firstFrom is a TCP packet from an address and port.
func firstFrom(from netip.AddrPort, to netip.Addr) []byte {
	b := first(to, 6, 40001)
	if to.Is6() {
		copy(b[8:], from.Addr().AsSlice())
		binary.BigEndian.PutUint16(b[40:], from.Port())
		return b
	}
	copy(b[12:], from.Addr().AsSlice())
	binary.BigEndian.PutUint16(b[20:], from.Port())
	var sum uint32
	b[10], b[11] = 0, 0
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum&0xffff+sum>>16))
	return b
}

// TestSeen sends what a server does whose gateway is this host, and packets whose mark another
// program takes away; then packets of the same kinds that are as they should be.
func TestSeen(t *testing.T) {
	k := realKernel(t)
	netnstest.Veth(t, "tp0", "tp1")
	sender, err := net.InterfaceByName("tp0")
	if err != nil {
		t.Fatal(err)
	}
	holdVIPs(t, vip4, vip6)
	six := service("six", 0x54000003, []string{vip6}, 104)
	four := service("four", 0x54000001, []string{vip4}, 104)
	four.PortRanges = []model.PortRange{{First: 2000, Last: 3000}}
	nat := service("nat", 0x54000002, []string{vip4}, 80)
	six.Forwarding, four.Forwarding, nat.Forwarding = model.DirectRouting, model.Tunnel, model.NAT
	mustDo(t, k, services(four, nat, six))
	driver := nft.New(nft.Config{Kernel: k})
	seen := func() nft.Seen {
		t.Helper()
		seen, err := driver.Seen(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(seen.Through, func(a, b nft.Reply) int { return a.VIP.Compare(b.VIP) })
		slices.SortFunc(seen.Unmarked, func(a, b nft.Destination) int {
			return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Protocol, b.Protocol))
		})
		return seen
	}
	from := func(source string, port uint16, to string) {
		t.Helper()
		sendBytes(t, "tp0", "tp1", firstFrom(netip.AddrPortFrom(netip.MustParseAddr(source), port), netip.MustParseAddr(to)))
	}
	to := func(address string, protocol byte, port uint16) {
		t.Helper()
		sendBytes(t, "tp0", "tp1", first(netip.MustParseAddr(address), protocol, port))
	}
	// As they should be, or none of our business.
	to(vip4, 6, 104)
	to(vip4, 6, 2500)
	to(vip6, 6, 104)
	to(vip4, 1, 104)
	from("192.0.2.11", 104, "198.51.100.7")
	from(vip4, 80, "198.51.100.7")
	from(vip4, 4000, "198.51.100.7")
	if got := seen(); len(got.Through)+len(got.Unmarked) > 0 {
		t.Fatalf("of packets that are well: %+v", got)
	}
	from(vip4, 104, "198.51.100.7")
	from(vip4, 2500, "198.51.100.7")
	from(vip6, 104, "2001:db8:7::7")
	netnstest.Run(t, "nft", "table inet plugin {\nchain pre {\ntype filter hook prerouting priority dstnat; meta mark set 0x4000;\n}\n}")
	for _, p := range []uint16{80, 104, 2500} {
		to(vip4, 6, p)
	}
	to(vip6, 17, 104)
	to(vip4, 1, 104)
	reply := func(vip, client string) nft.Reply {
		return nft.Reply{VIP: netip.MustParseAddr(vip), MAC: sender.HardwareAddr, Client: netip.MustParseAddr(client)}
	}
	at := func(address string, p model.Protocol) nft.Destination {
		return nft.Destination{Address: netip.MustParseAddrPort(address), Protocol: p}
	}
	want := nft.Seen{
		Through:  []nft.Reply{reply(vip4, "198.51.100.7"), reply(vip6, "2001:db8:7::7")},
		Unmarked: []nft.Destination{at(vip4+":80", "TCP"), at(vip4+":104", "TCP"), at(vip4+":2500", "TCP"), at("["+vip6+"]:104", "UDP")},
	}
	if diff := gocmp.Diff(want, seen(), cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); diff != "" {
		t.Errorf("seen (-want +got):\n%s", diff)
	}
	k.writes = 0
	mustDo(t, k, services(four, nat, six))
	k.wantWrites(t, 0) // what packets fill in is no damage
	if err := driver.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := seen(); len(got.Through)+len(got.Unmarked) > 0 {
		t.Errorf("without a table: %+v", got)
	}
}
