package direct

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func drawAddr(t *rapid.T, v6 bool) netip.Addr {
	n := 4
	if v6 {
		n = 16
	}
	a, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "address"))
	return a
}

// TestAliasKeepsTheSum: whatever the VIP, its aliases lie in the pool, differ from each other, and
// put the same into a TCP checksum.
func TestAliasKeepsTheSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v6 := rapid.Bool().Draw(t, "IPv6")
		vip := drawAddr(t, v6)
		pool := DefaultPool4()
		if v6 {
			pool = DefaultPool6()
		}
		all := newAliases(pool)
		seen := map[netip.Addr]bool{}
		for i := range 50 {
			p := pair{vip, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})}
			x, ok := all.get(p)
			again, _ := all.get(p)
			if !ok || x != again || seen[x] || !pool.Contains(x) {
				t.Fatalf("alias %d of %v: %v, again %v, fits %v, seen %v", i, vip, x, again, ok, seen[x])
			}
			seen[x] = true
			if got, want := sum(x.AsSlice())%0xffff, sum(vip.AsSlice())%0xffff; got != want {
				t.Fatalf("sum of %v is %x, of %v %x", x, got, vip, want)
			}
		}
	})
}

func TestPoolIsExhaustedAndReused(t *testing.T) {
	a := newAliases(netip.MustParsePrefix("248.0.0.0/15"))
	vip := netip.MustParseAddr("192.0.2.100")
	for i, want := range []bool{true, true, false} {
		if _, ok := a.get(pair{vip, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})}); ok != want {
			t.Fatalf("alias %d: %v", i, ok)
		}
	}
	a.drop(pair{vip, netip.MustParseAddr("10.0.0.0")})
	if _, ok := a.get(pair{vip, netip.MustParseAddr("10.0.0.2")}); !ok {
		t.Fatal("a dropped alias is not given again")
	}
}

func TestCheckPool(t *testing.T) {
	for s, want := range map[string]bool{
		"248.0.0.0/5": true, "198.18.0.0/15": true, "198.18.0.0/24": false, "198.18.1.0/15": false,
		"fd00:1::/64": true, "fd00:1::/96": false, "::/0": false,
	} {
		if err := checkPool(netip.MustParsePrefix(s)); (err == nil) != want {
			t.Errorf("%s: %v", s, err)
		}
	}
}
