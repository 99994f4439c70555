package direct

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// sum returns the ones'-complement sum of the sixteen-bit words of b (RFC 1071), whose length is even.
func sum(b []byte) uint16 {
	var s uint32
	for i := 0; i < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

// minus is a - b in ones' complement.
func minus(a, b uint16) uint16 {
	s := uint32(a) + uint32(^b)
	return uint16(s&0xffff + s>>16)
}

// capacity is how many servers of one VIP a pool has aliases for.
func capacity(pool netip.Prefix) uint32 {
	if pool.Addr().Is4() {
		return 1 << (16 - pool.Bits())
	}
	return 1 << 20
}

// checkPool tells whether a pool can be used: IPv4 /4 to /16, IPv6 /48 to /64, no host bits.
func checkPool(pool netip.Prefix) error {
	least, most := 48, 64
	if pool.Addr().Is4() {
		least, most = 4, 16
	}
	if !pool.IsValid() || pool.Bits() < least || pool.Bits() > most || pool != pool.Masked() {
		return fmt.Errorf("pool %v of direct checks: write a prefix of /%d to /%d without host bits", pool, least, most)
	}
	return nil
}

// alias returns the n-th alias for vip: an address of pool with the same sum as vip. pool is of
// vip's family and passed checkPool; n is below its capacity.
func alias(pool netip.Prefix, vip netip.Addr, n uint32) netip.Addr {
	b := pool.Addr().AsSlice()
	if vip.Is4() {
		binary.BigEndian.PutUint16(b, binary.BigEndian.Uint16(b)+uint16(n))
	} else {
		binary.BigEndian.PutUint32(b[10:], n+1)
	}
	last := len(b) - 2
	binary.BigEndian.PutUint16(b[last:], minus(sum(vip.AsSlice()), sum(b[:last])))
	a, _ := netip.AddrFromSlice(b)
	return a
}

// aliases hands out aliases and remembers them.
type aliases struct {
	pool  netip.Prefix
	taken map[netip.Addr]pair
	of    map[pair]netip.Addr
}

// pair is what an alias stands for.
type pair struct{ vip, server netip.Addr }

func newAliases(pool netip.Prefix) *aliases {
	return &aliases{pool: pool, taken: map[netip.Addr]pair{}, of: map[pair]netip.Addr{}}
}

// get returns the alias of p, the same one each time; false: the pool has no room.
func (a *aliases) get(p pair) (netip.Addr, bool) {
	if x, ok := a.of[p]; ok {
		return x, true
	}
	for n := range capacity(a.pool) {
		x := alias(a.pool, p.vip, n)
		if _, used := a.taken[x]; !used {
			a.taken[x], a.of[p] = p, x
			return x, true
		}
	}
	return netip.Addr{}, false
}

// drop forgets p.
func (a *aliases) drop(p pair) {
	if x, ok := a.of[p]; ok {
		delete(a.of, p)
		delete(a.taken, x)
	}
}
