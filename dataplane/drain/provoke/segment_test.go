package provoke

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

// TestPacket holds packets against bytes; the checksum is right if with it the sum over pseudo header
// and segment has only ones (RFC 1071 section 1). Whether other hosts take it, dataplane/nft shows.
func TestPacket(t *testing.T) {
	for name, tc := range map[string]struct{ from, to, want string }{
		"IPv4": {"192.0.2.100:104", "192.0.2.51:40000",
			"45000028 00000000 40060000 c0000264 c0000233 0068 9c40 01020304 05060708 5010 0000 ____ 0000"},
		"IPv6": {"[2001:db8::64]:104", "[2001:db8::33]:40000",
			"60000000 00140640 20010db8000000000000000000000064 20010db8000000000000000000000033 0068 9c40 01020304 05060708 5010 0000 ____ 0000"},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := netip.MustParseAddrPort(tc.from), netip.MustParseAddrPort(tc.to)
			p := packet(from, to, 0x01020304, 0x05060708)
			want := strings.ReplaceAll(tc.want, " ", "")
			at := strings.Index(want, "____")
			got := hex.EncodeToString(p)
			if len(got) != len(want) || got[:at] != want[:at] || got[at+4:] != want[at+4:] {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if sum := checksum(from.Addr().AsSlice(), to.Addr().AsSlice(), p[len(p)-lengthTCP:]); sum != 0 {
				t.Errorf("the words do not add up: %#04x", sum)
			}
		})
	}
}
