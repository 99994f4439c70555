package announce

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var addressV6 = netip.MustParseAddr("2001:db8::100")

// Parts of packets written by hand from RFC 8200 and RFC 4861.
const (
	hexVIP   = "20010db8000000000000000000000100"
	hexAll   = "ff020000000000000000000000000001"
	hexGroup = "ff0200000000000000000001ff000100"
	hexZero  = "00000000000000000000000000000000"
	hexOwn   = "fe800000000000000000000000000002"
)

// TestNeighborsOnTheWire compares with bytes written by hand; tcpdump judges the same packets in
// TestTcpdumpReadsOurNeighbors.
func TestNeighborsOnTheWire(t *testing.T) {
	tests := map[string]struct {
		message Neighbor
		want    string
	}{
		"announcement": {
			neighborAnnouncement(macA, addressV6, false),
			"60000000 0020 3a ff" + hexVIP + hexAll + "88 00 f72c 20000000" + hexVIP + "02 01 020000000001",
		},
		"announcement of a router": {
			neighborAnnouncement(macA, addressV6, true),
			"60000000 0020 3a ff" + hexVIP + hexAll + "88 00 772c a0000000" + hexVIP + "02 01 020000000001",
		},
		"probe": {
			neighborProbe(addressV6),
			"60000000 0018 3a ff" + hexZero + hexGroup + "87 00 4aef 00000000" + hexVIP,
		},
		"question": {
			neighborQuestion(macA, netip.MustParseAddr("fe80::2"), addressV6),
			"60000000 0020 3a ff" + hexOwn + hexGroup + "87 00 4962 00000000" + hexVIP + "01 01 020000000001",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			want := fromHex(t, tc.want)
			if got := tc.message.Append(nil); !bytes.Equal(got, want) {
				t.Errorf("got  %x\nwant %x", got, want)
			}
			back, err := ParseNeighbor(append(want, 0, 0, 0))
			if diff := cmp.Diff(tc.message, back, sameAddrs); diff != "" || err != nil {
				t.Errorf("read back (-want +got), %v:\n%s", err, diff)
			}
		})
	}
}

func TestGroups(t *testing.T) {
	if got := solicitedNode(netip.MustParseAddr("4037::1:800:200e:8c6c")); got != netip.MustParseAddr("ff02::1:ff0e:8c6c") {
		t.Errorf("the example of RFC 4291 has the group %s", got)
	}
	if got := groupMAC(solicitedNode(addressV6)); got != (MAC{0x33, 0x33, 0xff, 0, 1, 0}) {
		t.Errorf("the group's Ethernet address is %x", got)
	}
}

// sealed returns a packet with a changed byte range and the checksum that goes with it.
func sealed(n Neighbor, change func(b []byte) []byte) []byte {
	b := change(n.Append(nil))
	b[42], b[43] = 0, 0
	sum := checksum(b[8:40], b[40:])
	b[42], b[43] = byte(sum>>8), byte(sum)
	b[4], b[5] = byte((len(b)-40)>>8), byte(len(b)-40)
	return b
}

func TestParseNeighborRefuses(t *testing.T) {
	announcement := neighborAnnouncement(macA, addressV6, false)
	set := func(at int, value ...byte) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[at:], value); return b }
	}
	from := func(source netip.Addr) Neighbor { n := announcement; n.Source = source; return n }
	tests := map[string]struct {
		packet []byte
		want   error
	}{
		"nothing":                  {nil, ErrNeighborLength},
		"one byte short":           {neighborProbe(addressV6).Append(nil)[:63], ErrNeighborLength},
		"longer than a frame":      {append(announcement.Append(nil), make([]byte, 1500)...), ErrNeighborLength},
		"says more than there is":  {set(5, 40)(announcement.Append(nil)), ErrNeighborLength},
		"says too little":          {set(5, 20)(announcement.Append(nil)), ErrNeighborLength},
		"IPv4":                     {sealed(announcement, set(0, 0x45)), ErrNotNeighbor},
		"UDP":                      {sealed(announcement, set(6, 17)), ErrNotNeighbor},
		"hop-by-hop options":       {sealed(announcement, set(6, 0)), ErrNotNeighbor},
		"router advertisement":     {sealed(announcement, set(40, 134)), ErrNotNeighbor},
		"code":                     {sealed(announcement, set(41, 1)), ErrNotNeighbor},
		"forwarded":                {sealed(announcement, set(7, 254)), ErrNeighborHops},
		"wrong checksum":           {set(43, 0)(announcement.Append(nil)), ErrNeighborChecksum},
		"wrong byte":               {set(71, 9)(announcement.Append(nil)), ErrNeighborChecksum},
		"option of length zero":    {sealed(announcement, set(65, 0)), ErrNeighborOption},
		"cut option":               {sealed(announcement, func(b []byte) []byte { return b[:68] }), ErrNeighborOption},
		"option longer than there": {sealed(announcement, set(65, 2)), ErrNeighborOption},
		"two link-layer addresses": {sealed(announcement, func(b []byte) []byte { return append(b, b[64:72]...) }), ErrNeighborOption},
		"empty link-layer address": {sealed(announcement, set(66, 0, 0, 0, 0, 0, 0)), ErrNeighborOption},
		"group as link-layer":      {sealed(announcement, set(66, 0x33, 0x33)), ErrNeighborAddress},
		"target is a group":        {sealed(announcement, set(48, 0xff)), ErrNeighborAddress},
		"target is nothing":        {sealed(announcement, set(48, make([]byte, 16)...)), ErrNeighborAddress},
		"source is a group":        {sealed(announcement, set(8, 0xff)), ErrNeighborAddress},
		"advertised by nobody":     {from(netip.IPv6Unspecified()).Append(nil), ErrNeighborAddress},
		"solicited to all":         {sealed(announcement, set(44, 0x60)), ErrNeighborAddress},
		"probe to all":             {sealed(neighborProbe(addressV6), set(24, fromHex(t, hexAll)...)), ErrNeighborAddress},
		"probe with a MAC":         {neighborQuestion(macA, netip.IPv6Unspecified(), addressV6).Append(nil), ErrNeighborAddress},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if n, err := ParseNeighbor(tc.packet); !errors.Is(err, tc.want) {
				t.Errorf("got %+v, %v, want %v", n, err, tc.want)
			}
		})
	}
}

// TestOtherOptionsArePassedOver has the nonce that Linux puts into its solicitations (RFC 7527).
func TestOtherOptionsArePassedOver(t *testing.T) {
	b := sealed(neighborProbe(addressV6), func(b []byte) []byte { return append(b, 14, 1, 1, 2, 3, 4, 5, 6) })
	n, err := ParseNeighbor(b)
	if diff := cmp.Diff(neighborProbe(addressV6), n, sameAddrs); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestAnyOneBitIsNoticed: the checksum covers all but version, class and flow label, hop limit and
// payload length, which are checked by themselves.
func TestAnyOneBitIsNoticed(t *testing.T) {
	packet := neighborAnnouncement(macA, addressV6, false).Append(nil)
	rapid.Check(t, func(rt *rapid.T) {
		bit := rapid.IntRange(4*8, len(packet)*8-1).Draw(rt, "bit")
		b := bytes.Clone(packet)
		b[bit/8] ^= 1 << (bit % 8)
		if n, err := ParseNeighbor(b); err == nil {
			rt.Fatalf("accepted %+v", n)
		}
	})
}

func TestParseNeighborAllocatesNothing(t *testing.T) {
	packet := neighborAnnouncement(macA, addressV6, false).Append(nil)
	if got := testing.AllocsPerRun(100, func() { _, _ = ParseNeighbor(packet) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func TestSightingsOfIPv6(t *testing.T) {
	other := netip.MustParseAddr("2001:db8::7")
	answer := neighborAnnouncement(macA, addressV6, false)
	bare := answer
	bare.LinkLayer = MAC{}
	tests := map[string]struct {
		message Neighbor
		want    sighting
		seen    bool
	}{
		"answer":              {answer, sighting{macA, true}, true},
		"answer without MAC":  {bare, sighting{macB, true}, true},
		"asks others with it": {neighborQuestion(macA, addressV6, other), sighting{macA, true}, true},
		"probes for it too":   {neighborProbe(addressV6), sighting{macB, false}, true},
		"only looks for it":   {neighborQuestion(macA, other, addressV6), sighting{}, false},
		"probes for another":  {neighborProbe(other), sighting{}, false},
		"answers for another": {neighborAnnouncement(macA, other, false), sighting{}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, seen := sight(tc.message.Append(nil), macB, addressV6)
			if seen != tc.seen || seen && got != tc.want {
				t.Errorf("got %+v, %t, want %+v, %t", got, seen, tc.want, tc.seen)
			}
		})
	}
}

// FuzzNeighbor: what is accepted comes back the same when it is written and read again.
func FuzzNeighbor(f *testing.F) {
	f.Add(neighborAnnouncement(macA, addressV6, true).Append(nil))
	f.Add(neighborProbe(addressV6).Append(nil))
	f.Add(neighborQuestion(macB, netip.MustParseAddr("fe80::2"), addressV6).Append(nil))
	f.Add([]byte(strings.Repeat("`", 72)))
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := ParseNeighbor(b)
		// A mutation seldom has the right checksum: look behind it too.
		if errors.Is(err, ErrNeighborChecksum) {
			b = bytes.Clone(b)
			end := 40 + int(b[4])<<8 + int(b[5])
			b[42], b[43] = 0, 0
			sum := checksum(b[8:40], b[40:end])
			b[42], b[43] = byte(sum>>8), byte(sum)
			first, err = ParseNeighbor(b)
			if errors.Is(err, ErrNeighborChecksum) {
				t.Fatalf("own checksum refused: %x", b)
			}
		}
		if err != nil {
			return
		}
		again, err := ParseNeighbor(first.Append(nil))
		if err != nil || again != first {
			t.Errorf("read %+v, then %+v, %v", first, again, err)
		}
	})
}
