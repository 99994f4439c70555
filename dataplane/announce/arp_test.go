package announce

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	macA      = MAC{2, 0, 0, 0, 0, 1}
	macB      = MAC{2, 0, 0, 0, 0, 2}
	addressV  = netip.MustParseAddr("192.0.2.100")
	sameAddrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
)

// fromHex reads bytes written in groups.
func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestPacketsOnTheWire compares with bytes written by hand from RFC 826 and RFC 5227.
func TestPacketsOnTheWire(t *testing.T) {
	both := announcements(macA, addressV)
	tests := map[string]struct {
		packet Packet
		want   string
	}{
		"announcement as request": {both[0], "0001 0800 06 04 0001 020000000001 c0000264 000000000000 c0000264"},
		"announcement as reply":   {both[1], "0001 0800 06 04 0002 020000000001 c0000264 020000000001 c0000264"},
		"probe":                   {probe(macA, addressV), "0001 0800 06 04 0001 020000000001 00000000 000000000000 c0000264"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			want := fromHex(t, tc.want)
			if got := tc.packet.Append(nil); !bytes.Equal(got, want) {
				t.Errorf("got  %x\nwant %x", got, want)
			}
			back, err := Parse(append(want, make([]byte, 18)...))
			if diff := cmp.Diff(tc.packet, back, sameAddrs); diff != "" || err != nil {
				t.Errorf("read back (-want +got), %v:\n%s", err, diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := map[string]struct {
		frame string
		want  error
	}{
		"nothing":             {"", ErrLength},
		"one byte short":      {"0001 0800 06 04 0001 020000000001 c0000264 000000000000 c00002", ErrLength},
		"longer than a frame": {"0001 0800 06 04 0001 020000000001 c0000264 000000000000 c0000264" + strings.Repeat("00", 1500), ErrLength},
		"not Ethernet":        {"0006 0800 06 04 0001 020000000001 c0000264 000000000000 c0000264", ErrHardware},
		"not IPv4":            {"0001 86dd 06 04 0001 020000000001 c0000264 000000000000 c0000264", ErrProtocol},
		"long MAC":            {"0001 0800 08 04 0001 020000000001 c0000264 000000000000 c0000264", ErrHardware},
		"long address":        {"0001 0800 06 10 0001 020000000001 c0000264 000000000000 c0000264", ErrHardware},
		"reverse ARP":         {"0001 0800 06 04 0003 020000000001 c0000264 000000000000 c0000264", ErrOperation},
		"no operation":        {"0001 0800 06 04 0000 020000000001 c0000264 000000000000 c0000264", ErrOperation},
		"from everybody":      {"0001 0800 06 04 0001 ffffffffffff c0000264 000000000000 c0000264", ErrSender},
		"from a group":        {"0001 0800 06 04 0001 01005e000012 c0000264 000000000000 c0000264", ErrSender},
		"from nobody":         {"0001 0800 06 04 0001 000000000000 c0000264 000000000000 c0000264", ErrSender},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if p, err := Parse(fromHex(t, tc.frame)); !errors.Is(err, tc.want) {
				t.Errorf("got %+v, %v, want %v", p, err, tc.want)
			}
		})
	}
}

func TestClaims(t *testing.T) {
	other := netip.MustParseAddr("192.0.2.7")
	zero := netip.IPv4Unspecified()
	tests := map[string]struct {
		packet Packet
		want   bool
	}{
		"answer":              {Packet{Operation: Reply, SenderIP: addressV, TargetIP: zero}, true},
		"announcement":        {Packet{Operation: Request, SenderIP: addressV, TargetIP: addressV}, true},
		"asks others with it": {Packet{Operation: Request, SenderIP: addressV, TargetIP: other}, true},
		"probes for it too":   {Packet{Operation: Request, SenderIP: zero, TargetIP: addressV}, true},
		"only looks for it":   {Packet{Operation: Request, SenderIP: other, TargetIP: addressV}, false},
		"probes for another":  {Packet{Operation: Request, SenderIP: zero, TargetIP: other}, false},
		"answers for another": {Packet{Operation: Reply, SenderIP: other, TargetIP: addressV}, false},
		"reply to a probe":    {Packet{Operation: Reply, SenderIP: zero, TargetIP: addressV}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tc.packet.claims(addressV); got != tc.want {
				t.Errorf("got %t, want %t", got, tc.want)
			}
		})
	}
}

// FuzzARP: what is accepted is 28 bytes that come back as they were.
func FuzzARP(f *testing.F) {
	for _, p := range announcements(macA, addressV) {
		f.Add(p.Append(nil))
	}
	f.Add(append(probe(macB, addressV).Append(nil), make([]byte, 18)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		if got := p.Append(nil); !bytes.Equal(got, b[:PacketLength]) {
			t.Errorf("read %x, wrote %x", b[:PacketLength], got)
		}
		if p.SenderMAC[0]&1 != 0 || !p.SenderIP.Is4() || !p.TargetIP.Is4() {
			t.Errorf("accepted %+v", p)
		}
	})
}
