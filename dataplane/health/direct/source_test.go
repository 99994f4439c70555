package direct

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestSourceOfChecks: hosts whose own address has a host prefix have a source too, and a virtual IP is
// none.
func TestSourceOfChecks(t *testing.T) {
	has := func(prefix string, flags int, label string) netlink.Addr {
		t.Helper()
		a, err := netlink.ParseAddr(prefix)
		if err != nil {
			t.Fatal(err)
		}
		a.Flags, a.Label = flags, label
		return *a
	}
	six := pair{netip.MustParseAddr("2001:db8::100"), netip.MustParseAddr("2001:db8::11")}
	four := pair{netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("192.0.2.11")}
	for name, tc := range map[string]struct {
		pair   pair
		has    []netlink.Addr
		chosen string
		want   string
	}{
		"network":                   {six, []netlink.Addr{has("2001:db8::2/64", 0, "")}, "2001:db8::2", "2001:db8::2"},
		"DHCPv6":                    {six, []netlink.Addr{has("2001:db8::100/128", unix.IFA_F_DEPRECATED, ""), has("2001:db8::2/128", 0, "")}, "2001:db8::2", "2001:db8::2"},
		"network before the chosen": {six, []netlink.Addr{has("2001:db8::3/128", 0, ""), has("2001:db8::2/64", 0, "")}, "2001:db8::3", "2001:db8::2"},
		"being tested":              {six, []netlink.Addr{has("2001:db8::2/128", unix.IFA_F_TENTATIVE, "")}, "2001:db8::2", ""},
		"the virtual IP":            {six, []netlink.Addr{has("2001:db8::100/128", 0, "")}, "2001:db8::100", ""},
		"another virtual IP":        {six, []netlink.Addr{has("2001:db8::101/128", unix.IFA_F_DEPRECATED, "")}, "2001:db8::101", ""},
		"of another interface":      {six, []netlink.Addr{has("2001:db8::2/128", 0, "")}, "2001:db8:9::2", ""},
		"IPv4 of a cloud":           {four, []netlink.Addr{has("192.0.2.101/32", 0, "eth0:tp"), has("192.0.2.2/32", 0, "eth0")}, "192.0.2.2", "192.0.2.2"},
		"IPv4, another virtual IP":  {four, []netlink.Addr{has("192.0.2.101/32", 0, "eth0:tp")}, "192.0.2.101", ""},
	} {
		got, found := sourceOf(tc.has, tc.pair, netip.MustParseAddr(tc.chosen))
		if found != (tc.want != "") || found && got.String() != tc.want {
			t.Errorf("%s: %v, %v, want %q", name, got, found, tc.want)
		}
	}
}
